"""Capture files to records: pcap and pcapng, either of them gzipped; one pass, in bounded memory."""

from edged.replay.readers.capture import Capture, open_capture
from edged.replay.readers.record import CaptureUnreadable, Damage, Record

__all__ = ["Capture", "CaptureUnreadable", "Damage", "Record", "open_capture"]
