"""Sights for peer-to-peer detectors: what each protocol says, written from its description, and what others say."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from edged.inspect.detectors import (
    bittorrent,
    dht,
    edonkey,
    edonkey_udp,
    gnutella,
    gnutella_udp,
    kad,
    tracker,
    utp,
    winny,
)
from edged.inspect.detectors.winny import rc4
from edged.inspect.sight import Detector, Endpoint, Found, Sight
from edged.ruleset.nodes import Transport

DETECTORS: tuple[Detector, ...] = tuple(
    detector
    for module in (bittorrent, dht, edonkey, edonkey_udp, gnutella, gnutella_udp, kad, tracker, utp, winny)
    for detector in module.DETECTORS
)

CLIENT = Endpoint(is_ipv6=False, address=0x0A000001, port=50_000)
SERVER = Endpoint(is_ipv6=False, address=0xC6336407, port=6881)  # 198.51.100.7
SIX = Endpoint(is_ipv6=True, address=0x20010DB8 << 96 | 7, port=6881)


def asked(payload: bytes, other: bytes = b"") -> Sight:
    """The client says `payload`; the server said `other` before."""
    return Sight(payload, other, 0, 2 if other else 1, True, True, CLIENT, SERVER)


def answered(payload: bytes, other: bytes) -> Sight:
    """The server says `payload` to the client's `other`."""
    return Sight(payload, other, 0, 2, False, True, SERVER, CLIENT)


def found(transport: Transport, sight: Sight) -> list[Found]:
    """What all detectors for that payload's first byte say."""
    return [
        said
        for detector in DETECTORS
        if detector.transport is transport and (not detector.first_bytes or sight.payload[:1] in _bytes(detector.first_bytes))
        if (said := detector.detect(sight)) is not None
    ]


def _bytes(values: bytes) -> list[bytes]:
    return [bytes((value,)) for value in values]


ID_A, ID_B, HASH = b"abcdefghij0123456789", b"mnopqrstuvwxyz123456", bytes(range(100, 120))
PEER_PACKED = bytes([203, 0, 113, 9]) + struct.pack("!H", 51413)
PEER = Endpoint(is_ipv6=False, address=0xCB007109, port=51413)

# BitTorrent: BEP 3, 5, 14, 15, 23, 29
HANDSHAKE = b"\x13BitTorrent protocol" + bytes(5) + b"\x10\0\5" + HASH + b"-XX0001-abcdefghijkl"
LSD = (
    b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 51413\r\n"
    b"Infohash: ED4F1085E885F98F9CB3A3C1D7E0F0A1B2C3D4E5\r\n\r\n\r\n"
)
DHT_PING = b"d1:ad2:id20:" + ID_A + b"e1:q4:ping1:t2:aa1:y1:qe"
DHT_PONG = b"d1:rd2:id20:" + ID_B + b"e1:t2:aa1:y1:re"
DHT_PONG_TO = b"d2:ip6:" + PEER_PACKED + DHT_PONG[1:]
DHT_PEERS = (
    b"d1:rd2:id20:" + ID_B + b"5:token8:aoeusnth6:valuesl6:" + PEER_PACKED + b"6:" + PEER_PACKED[:-1] + b"\x16ee1:t2:aa1:y1:re"
)
DHT_ANNOUNCE = (
    b"d1:ad2:id20:" + ID_A + b"12:implied_porti%de9:info_hash20:" + HASH + b"4:porti7001e5:token8:aoeusnthe"
    b"1:q13:announce_peer1:t2:aa1:y1:qe"
)
DHT_ERROR = b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee"
UTP_SYN = struct.pack("!BBHIIIHH", 0x41, 0, 0x4567, 1_000_000, 0, 1 << 20, 1, 0)
UTP_SYN_EXTENDED = struct.pack("!BBHIIIHH", 0x41, 2, 0x4567, 1_000_000, 0, 1 << 20, 1, 0) + b"\0\x08" + bytes(8)
UTP_STATE = struct.pack("!BBHIIIHH", 0x21, 0, 0x4567, 2_000_000, 5_000, 1 << 20, 0x23C6, 1)
TRACKER_CONNECT = bytes.fromhex("0000041727101980 00000000 0badcafe")
TRACKER_CONNECTED = bytes.fromhex("00000000 0badcafe 1122334455667788")
TRACKER_ANNOUNCE = (
    bytes.fromhex("1122334455667788 00000001 0badcaff") + HASH + ID_A + bytes(24) + struct.pack("!IIIiH", 2, 0, 9, -1, 6881)
)
TRACKER_PEERS = struct.pack("!IIIII", 1, 0x0BADCAFF, 1800, 3, 9) + PEER_PACKED
HTTP_ANNOUNCE = (
    b"GET /announce?info_hash=%e4%be%9eM%b8v%e3%e3%17%97x%b0%3e%90b%97%be%5c%8d%be&peer_id=-XX0001-&port=6881 HTTP/1.1\r\n"
    b"Host: t\r\n\r\n"
)
HTTP_PEERS = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n"
BENCODED_PEERS = b"d8:completei1e8:intervali1800e5:peers6:" + PEER_PACKED + b"e"

# Gnutella: 0.6 draft; GGEP 0.51; LIME/12; Mojito; the G2 UDP transceiver
GUID = bytes.fromhex("e3dd3102df1dd6fcff29bc7d26977b00")


def gnutella_message(kind: int, body: bytes, *, ttl: int = 1, hops: int = 0, guid: bytes = GUID) -> bytes:
    return guid + bytes((kind, ttl, hops)) + struct.pack("<I", len(body)) + body


GGEP_SCP = b"\xc3\x83SCP\x41\x02"
PONG_BODY = struct.pack("<H", 6346) + bytes([203, 0, 113, 9]) + struct.pack("<II", 12, 4096)
GNUTELLA_PING = gnutella_message(0x00, GGEP_SCP)
GNUTELLA_BARE_PING = gnutella_message(0x00, b"")
GNUTELLA_PONG = gnutella_message(0x01, PONG_BODY)
GNUTELLA_PONG_GGEP = gnutella_message(0x01, PONG_BODY + b"\xc3\x02UP\x43\x01\x02\x03\x82DU\x41\x10")
GNUTELLA_DEFLATED = gnutella_message(0x01, zlib.compress(PONG_BODY + GGEP_SCP), ttl=0x81)
GNUTELLA_QUERY = gnutella_message(0x80, b"\xf9\0pinkfloyd\0")
GNUTELLA_HIT = gnutella_message(
    0x81, b"\x01" + PONG_BODY[:6] + struct.pack("<I", 350) + struct.pack("<II", 1, 5000) + b"a.ogg\0\0" + GUID
)
GNUTELLA_PUSH = gnutella_message(0x40, GUID + struct.pack("<I", 3) + bytes([203, 0, 113, 9]) + struct.pack("<H", 6346))
GNUTELLA_OOB = gnutella_message(0x31, b"LIME" + struct.pack("<HH", 12, 2) + b"\x05")
GNUTELLA_DHT = gnutella_message(
    0x44,
    b"\x05LIME\0\0" + HASH + b"\x04" + PEER_PACKED + b"\x01\x01\0\0" + HASH,
    ttl=0,
)
RUDP_SYN = gnutella_message(0x41, b"", guid=bytes.fromhex("07000000 55000000 9182736455463728"))
RUDP_DATA = gnutella_message(0x41, b"more of a file", guid=bytes.fromhex("073c0001 0102030405060708090a0b0c"))
G2_PACKET = b"GND\x02\x10\x3e\x01\x01T\x0bQKR\x06RNA" + PEER_PACKED + b"\0"
G2_ACK = b"GND\0\x10\x3e\x01\0"
GTA_EXTENDED_ACK = b"GTA\x20\x10\x3e\x02\0\x02\0\0\x01"
GNUTELLA_CONNECT = b"GNUTELLA CONNECT/0.6\r\nUser-Agent: servent/1.0\r\nX-Ultrapeer: False\r\n\r\n"
GNUTELLA_OK = b"GNUTELLA/0.6 200 OK\r\nUser-Agent: servent/2.0\r\n\r\n"
GIV = b"GIV 36:" + GUID.hex().encode() + b"/a.ogg\n\n"
GET_INDEX = b"GET /get/36/a.ogg HTTP/1.1\r\nUser-Agent: servent\r\nX-Gnutella-Content-URN: urn:sha1:PLST\r\n\r\n"
GET_HASH = b"GET /uri-res/N2R?urn:sha1:PLSTHIPQGSSZTS5FJUPAKUZWUGYQYPFB HTTP/1.1\r\nHost: x\r\n\r\n"
HTTP_GNUTELLA = b"HTTP/1.1 200 OK\r\nServer: servent\r\nX-Gnutella-Content-URN: urn:sha1:PLST\r\n\r\nfile"

# eDonkey: The eMule Protocol Specification, sections 6.2, 6.3, 6.4, 6.6
USER = bytes(range(1, 17))
TAGS = struct.pack("<I", 2) + b"\x02\x01\0\x01\x04\0nick" + b"\x03\x01\0\x11" + struct.pack("<I", 60)


def edonkey_message(protocol: int, opcode: int, body: bytes) -> bytes:
    return bytes((protocol,)) + struct.pack("<I", len(body) + 1) + bytes((opcode,)) + body


ED2K_HELLO = edonkey_message(0xE3, 0x01, b"\x10" + USER + bytes([203, 0, 113, 9]) + struct.pack("<H", 4662) + TAGS + bytes(6))
ED2K_LOGIN = edonkey_message(0xE3, 0x01, USER + bytes(4) + struct.pack("<H", 4662) + TAGS)
ED2K_ANSWER = edonkey_message(0xE3, 0x4C, USER + bytes([203, 0, 113, 9]) + struct.pack("<H", 4662) + TAGS + bytes(6))
EMULE_INFO = edonkey_message(0xC5, 0x01, b"\x50\x01" + TAGS)
EMULE_RANK = edonkey_message(0xC5, 0x60, struct.pack("<H", 40) + bytes(10))
ED2K_SET_FILE = edonkey_message(0xE3, 0x4F, USER)
ED2K_STATUS = b"\xe3\x96\x12\x34\xaa\x55"
ED2K_STATUS_ANSWER = b"\xe3\x97\x12\x34\xaa\x55" + struct.pack("<II", 1000, 200_000)
ED2K_DESCRIPTION = b"\xe3\xa2\xff\xf0\x12\x34"
EMULE_REASK = b"\xc5\x90" + USER
EMULE_QUEUE_FULL = b"\xc5\x93"

KAD_CONTACT = USER + bytes([9, 113, 0, 203]) + struct.pack("<HH", 4672, 4662) + b"\x09"
KAD_TAG = b"\x03\x01\0\xfc" + struct.pack("<I", 4672)
KAD_REQUEST = b"\xe4\x21\x02" + USER + USER[::-1]
KAD_HELLO = b"\xe4\x11" + USER + struct.pack("<H", 4662) + b"\x09\x01" + KAD_TAG
KAD_ANSWER = b"\xe4\x29" + USER + b"\x02" + KAD_CONTACT * 2
KAD_BOOTSTRAP = b"\xe4\x09" + USER + struct.pack("<HBH", 4662, 9, 20) + KAD_CONTACT * 20
KAD_SOURCES = b"\xe4\x34" + USER + struct.pack("<HQ", 0, 700_000_000)
KAD_FOUND = b"\xe4\x3b" + USER + USER + struct.pack("<H", 1) + USER + b"\x01" + KAD_TAG
KAD_PUBLISH = b"\xe4\x44" + USER + USER + b"\x01" + KAD_TAG
KAD_PACKED = b"\xe5\x09" + zlib.compress(KAD_BOOTSTRAP[2:], 9)
KAD_PING, KAD_PONG = b"\xe4\x60", b"\xe4\x61" + struct.pack("<H", 4672)

# Winny: two bytes of chance, the key, and what it encrypts
WINNY_KEY = b"\x9a\xbc\xde\xf0"
WINNY = b"\x81\x42" + WINNY_KEY + rc4(WINNY_KEY, b"\x01\0\0\0\x61\x1a\0\0\0\0")


class Known(NamedTuple):
    """A sight that must be recognised, as that protocol."""

    name: str
    protocol: str
    transport: Transport
    sight: Sight


def _known(protocol: str, transport: Transport, sights: dict[str, Sight]) -> tuple[Known, ...]:
    return tuple(Known(name, protocol, transport, sight) for name, sight in sights.items())


KNOWN: tuple[Known, ...] = (
    *_known("bittorrent", Transport.TCP, {"handshake": asked(HANDSHAKE), "handshake back": answered(HANDSHAKE, HANDSHAKE)}),
    *_known("bittorrent-lsd", Transport.UDP, {"local discovery": asked(LSD)}),
    *_known(
        "bittorrent-utp",
        Transport.UDP,
        {"uTP": answered(UTP_STATE, UTP_SYN), "uTP with extension": answered(UTP_STATE, UTP_SYN_EXTENDED)},
    ),
    *_known(
        "bittorrent-dht",
        Transport.UDP,
        {
            "DHT ping": asked(DHT_PING),
            "DHT reply": answered(DHT_PONG, DHT_PING),
            "DHT reply with address": asked(DHT_PONG_TO),
            "DHT peers": answered(DHT_PEERS, DHT_PING),
            "DHT announce": asked(DHT_ANNOUNCE % 0),
            "DHT error": answered(DHT_ERROR, DHT_PING),
        },
    ),
    *_known(
        "bittorrent-tracker",
        Transport.UDP,
        {
            "tracker connect": asked(TRACKER_CONNECT),
            "tracker connected": answered(TRACKER_CONNECTED, TRACKER_CONNECT),
            "tracker peers": answered(TRACKER_PEERS, TRACKER_ANNOUNCE),
        },
    ),
    *_known(
        "bittorrent-http-tracker",
        Transport.TCP,
        {
            "HTTP announce": asked(HTTP_ANNOUNCE),
            "HTTP peers": answered(HTTP_PEERS + BENCODED_PEERS, HTTP_ANNOUNCE),
        },
    ),
    *_known(
        "gnutella",
        Transport.UDP,
        {
            "ping": asked(GNUTELLA_PING),
            "bare ping": asked(GNUTELLA_BARE_PING),
            "pong": asked(GNUTELLA_PONG),
            "pong with GGEP": asked(GNUTELLA_PONG_GGEP),
            "deflated pong": asked(GNUTELLA_DEFLATED),
            "query": asked(GNUTELLA_QUERY),
            "hit": asked(GNUTELLA_HIT),
            "push": asked(GNUTELLA_PUSH),
            "out-of-band hits": asked(GNUTELLA_OOB),
            "Mojito DHT": asked(GNUTELLA_DHT),
            "RUDP SYN": asked(RUDP_SYN),
            "RUDP data": asked(RUDP_DATA),
            "extended acknowledgement": asked(GTA_EXTENDED_ACK),
        },
    ),
    *_known("gnutella2", Transport.UDP, {"G2 packet": asked(G2_PACKET), "G2 acknowledgement": asked(G2_ACK)}),
    *_known(
        "gnutella",
        Transport.TCP,
        {
            "connect": asked(GNUTELLA_CONNECT),
            "OK": answered(GNUTELLA_OK, GNUTELLA_CONNECT),
            "GIV": asked(GIV),
            "get by index": asked(GET_INDEX),
            "get by hash": asked(GET_HASH),
            "a file": answered(HTTP_GNUTELLA, b"GET /x HTTP/1.1\r\n\r\n"),
        },
    ),
    *_known(
        "edonkey",
        Transport.TCP,
        {
            "hello": asked(ED2K_HELLO),
            "login": asked(ED2K_LOGIN),
            "hello answer": answered(ED2K_ANSWER, b""),
            "eMule info": asked(EMULE_INFO),
            "queue ranking": answered(EMULE_RANK, ED2K_SET_FILE),
        },
    ),
    *_known(
        "edonkey",
        Transport.UDP,
        {
            "server status": asked(ED2K_STATUS),
            "server status answered": answered(ED2K_STATUS_ANSWER, ED2K_STATUS),
            "server description": asked(ED2K_DESCRIPTION),
            "queue full": answered(EMULE_QUEUE_FULL, EMULE_REASK),
        },
    ),
    *_known(
        "edonkey-kad",
        Transport.UDP,
        {
            "Kad request": asked(KAD_REQUEST),
            "Kad hello": asked(KAD_HELLO),
            "Kad contacts": asked(KAD_ANSWER),
            "Kad bootstrap": asked(KAD_BOOTSTRAP),
            "Kad sources": asked(KAD_SOURCES),
            "Kad results": asked(KAD_FOUND),
            "Kad publish": asked(KAD_PUBLISH),
            "Kad packed": asked(KAD_PACKED),
            "Kad pong": answered(KAD_PONG, KAD_PING),
        },
    ),
    *_known("winny", Transport.TCP, {"winny": asked(WINNY)}),
)

STUN = bytes.fromhex("0001 0000 2112a442 0102030405060708090a0b0c")
STUN_SUCCESS = bytes.fromhex("0101 000c 2112a442 0102030405060708090a0b0c 00200008 0001a147 e112a643")
DTLS = bytes.fromhex("16fefd0000000000000000005c010000500000000000000050fefd") + bytes(range(79))
DNS = bytes.fromhex("1a2b01000001000000000000") + b"\x03www\x07example\x03com\0\0\1\0\1"
DNS_ANSWER = bytes.fromhex("1a2b81800001000100000000") + DNS[12:] + bytes.fromhex("c00c00010001000000100004cb007109")
NTP = b"\x23" + bytes(39) + bytes.fromhex("e5a1b2c3d4e5f607")
RTP = bytes.fromhex("80600001000003e8deadbeef") + bytes(range(160))
RTCP = bytes.fromhex("80c80006deadbeef") + bytes(20)
QUIC = b"\xc3\0\0\0\1\x08" + bytes(range(8)) + b"\0\0\x44\x9e" + bytes(range(200)) * 5
SNMP = bytes.fromhex("302902010004067075626c6963a01c0204") + bytes(20)
WIREGUARD = b"\x01\0\0\0" + bytes(range(144))
SSDP = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n\r\n'
DHCP = b"\x01\x01\x06\0" + bytes(232) + bytes.fromhex("63825363350101ff")
TLS = bytes.fromhex("1603010200010001fc0303") + bytes(range(32)) + bytes(480)
RDP = bytes.fromhex("030000130ee000000000000100080003000000")  # TPKT
SSH = b"SSH-2.0-OpenSSH_9.2\r\n"
SMB = b"\0\0\0\x54\xffSMB\x72" + bytes(75)
HTTP = b"GET /get/weather?info_hash=1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: x\r\n\r\n"
HTTP_OK = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 30\r\n\r\nX-Gnutella-Content-URN: a page"
SMTP = b"220 mx.example.com ESMTP\r\n"
SOCKS = b"\x05\x01\0"

OVER_UDP = {
    "STUN": STUN,
    "STUN success": STUN_SUCCESS,
    "DTLS": DTLS,
    "DNS": DNS,
    "DNS answer": DNS_ANSWER,
    "NTP": NTP,
    "RTP": RTP,
    "RTCP": RTCP,
    "QUIC": QUIC,
    "SNMP": SNMP,
    "WireGuard": WIREGUARD,
    "SSDP": SSDP,
    "DHCP": DHCP,
    "zeros": bytes(23),
    "bencoding": b"d4:name5:edged4:porti53ee",
}
OVER_TCP = {
    "TLS": TLS,
    "RDP": RDP,
    "SSH": SSH,
    "SMB": SMB,
    "HTTP": HTTP,
    "HTTP answer": HTTP_OK,
    "SMTP": SMTP,
    "SOCKS": SOCKS,
    "DNS over TCP": struct.pack("!H", len(DNS)) + DNS,
    "zeros": bytes(64),
}
