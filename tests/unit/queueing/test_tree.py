"""The tree's values: what cannot be made, and the numbers that follow from a rate."""

from __future__ import annotations

import pytest

from edged.queueing.tree import IDLE, LINE, ROOT, ClassId, Leaf, Lease, Rate, Shaper, Tree, best_leaf, leaf_handle

LAN = Shaper("lan0", Rate(1_000_000_000), 3)


def test_handles_are_written_as_tc_writes_them() -> None:
    assert [str(each) for each in (ROOT, LINE, *LAN.classes)] == ["ed:", "ed:1", "ed:2", "ed:3", "ed:4"]
    assert ClassId.of(0x00ED0002) == LAN.classes[0]
    assert LAN.classes[0].handle == 0x00ED0002
    assert str(ClassId(0xED, 0xABC)) == "ed:abc"


@pytest.mark.parametrize("major", [0, -1, 0x10000])
def test_a_handle_has_sixteen_bits_and_sixteen(major: int) -> None:
    with pytest.raises(ValueError, match="not a handle"):
        ClassId(major, 1)


@pytest.mark.parametrize(
    ("bits", "text"), [(8, "8bit"), (1_000, "1kbit"), (1_500_000, "1500kbit"), (2_000_000, "2mbit"), (10**11, "100gbit")]
)
def test_rates_are_written_as_tc_writes_them(bits: int, text: str) -> None:
    assert str(Rate(bits)) == text


@pytest.mark.parametrize("bits", [0, -8, 7, 12])
def test_a_rate_is_whole_bytes(bits: int) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        Rate(bits)


@pytest.mark.parametrize(("megabits", "burst"), [(1, 3028), (10, 12_500), (100, 125_000), (10_000, 12_500_000)])
def test_a_burst_is_ten_milliseconds_and_never_less_than_two_frames(megabits: int, burst: int) -> None:
    rate = Rate(megabits * 1_000_000)
    assert rate.burst == burst
    assert 1514 <= rate.quantum <= 200_000, "outside these the kernel warns of a class's quantum"


@pytest.mark.parametrize("name", ["", "a" * 16, "lan 0", "lan/0", "..", "lan\n0"])
def test_a_device_has_a_name_that_the_kernel_takes(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a device"):
        Shaper(name, LAN.line, 3)


def test_pools_are_bounded_by_what_a_leaf_costs() -> None:
    for leaf, size in ((Leaf.BFIFO, 0), (Leaf.BFIFO, 16_385), (Leaf.CAKE, 257)):
        with pytest.raises(ValueError, match="not a pool"):
            Shaper("lan0", LAN.line, size, leaf)
    last = Shaper("lan0", LAN.line, 16_384, Leaf.FQ_CODEL).classes[-1]
    assert leaf_handle(last).major < 0x8000, "the kernel's own handles begin there"


def test_the_best_leaf_is_one_that_there_is() -> None:
    everything = frozenset(Leaf)
    assert best_leaf(everything, 100) is Leaf.CAKE
    assert best_leaf(everything, 2_000) is Leaf.FQ_CODEL
    assert best_leaf(frozenset((Leaf.BFIFO,)), 100) is Leaf.BFIFO
    assert best_leaf(frozenset(), 100) is Leaf.BFIFO


def test_a_state_is_a_rate_and_back() -> None:
    slow = Rate(1_000_000)
    assert LAN.rate(IDLE) == LAN.line
    assert LAN.state(LAN.line) == IDLE
    assert LAN.state(LAN.rate(slow)) == slow
    assert LAN.rate(Rate(10**10)) == LAN.line, "no class is faster than the line"


def test_leases_are_of_the_pool_and_one_a_class() -> None:
    first, slow = LAN.classes[0], Rate(1_000_000)
    for strange in (LINE, ROOT, ClassId(0xED, 5), ClassId(1, 2)):
        with pytest.raises(ValueError, match="not in the pool of lan0"):
            Tree(LAN, (Lease(strange, slow),))
    with pytest.raises(ValueError, match="leased twice"):
        Tree(LAN, (Lease(first, slow), Lease(first, slow)))
