"""What edged relies on in a kernel, tried on the fake and on the real one."""

from __future__ import annotations

import errno
import time
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.addresses import Family, Range
from edged.errors import KernelError, StalePlan, TableHeld
from edged.kernel import Kernel
from edged.kernel.probe import FEATURES
from edged.packed import Keys
from edged.ruleset import plan as steps
from edged.ruleset.diff import diff
from edged.ruleset.fingerprint import fingerprint
from edged.ruleset.nodes import (
    AddressIn,
    Direction,
    Drop,
    GenerationIs,
    Goto,
    Jump,
    Match,
    PortIs,
    Queue,
    SetGeneration,
    Side,
    Transport,
)
from edged.ruleset.observed import (
    AnyObservedSet,
    CounterValue,
    Observed,
    ObservedLiveSet,
    ObservedPrefixSet,
    ObservedSet,
    ObservedTable,
    Ownership,
)
from edged.ruleset.places import placed
from edged.ruleset.plan import Desired, Lock, Plan, Step
from edged.ruleset.queueing import queued
from edged.ruleset.sets import AddressSet, AnySet, Element, LiveSet, PrefixSet
from edged.ruleset.tree import Chain, Counter, Hook, Rule, Table
from tests.contract.machines import LinuxMachine, Machine
from tests.contract.tables import (
    BLOCK,
    DROPPED,
    FREE,
    FREED,
    MASK,
    NOW,
    POOL,
    SENT,
    SMALL,
    asks,
    keeping,
    listed,
    prefix,
    tables,
    with_chain,
    with_set,
)
from tests.strategies import Drawn, configurations

one_machine = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def bring(kernel: Kernel, desired: Table | None, lock: Lock = Lock.NONE, now: float = NOW) -> Plan:
    """Observe, diff, apply; the plan that was applied."""
    plan = diff(None if desired is None else wish(kernel, desired, lock), kernel.observe())
    kernel.apply(plan, now=now)
    return plan


def wish(kernel: Kernel, table: Table, lock: Lock = Lock.NONE) -> Desired:
    """The table as this kernel can hold it; what it can is asked only where that makes a difference."""
    queues = any(isinstance(rule.then, Queue) for rule in table.rules())
    return Desired(table, lock, kernel.capabilities().queue) if queues else Desired(table, lock)


def needs(kernel: Kernel, *locks: Lock) -> None:
    """Skip on a kernel that does not know these locks (persist: Linux 6.9)."""
    features = kernel.capabilities().features
    known = {Lock.NONE: True, Lock.OWNER: features["table_owner"], Lock.OWNER_PERSIST: features["table_persist"]}
    if missing := [lock.value for lock in locks if not known[lock]]:
        pytest.skip(f"this kernel has no table flags {missing[0]}")


def standing(kernel: Kernel) -> ObservedTable:
    table = kernel.observe().table
    assert table is not None
    return table


def elements(kernel: Kernel, name: str) -> frozenset[Element]:
    held = standing(kernel).sets[name]
    assert isinstance(held, ObservedSet)
    return held.elements


def assert_holds(kernel: Kernel, desired: Table) -> None:
    """The kernel holds the table, said without `diff`."""
    table = standing(kernel)
    desired = placed(queued(desired, wish(kernel, desired).queue), table)
    assert {name: chain.hook for name, chain in table.chains.items()} == {chain.name: chain.hook for chain in desired.chains}
    numbers = {chain.notes["generation"] for chain in table.chains.values() if "generation" in chain.notes}
    assert len(numbers) <= 1, "one generation is in force"
    assert {name: chain.fingerprints for name, chain in table.chains.items()} == {
        chain.name: tuple(fingerprint(numbered(rule, int(next(iter(numbers), 0)))) for rule in chain.rules)
        for chain in desired.chains
    }
    assert {name: _held(each) for name, each in table.sets.items()} == {each.name: _wanted(each) for each in desired.sets}
    assert set(table.counters) == {counter.name for counter in desired.counters}


def numbered(rule: Rule, generation: int) -> Rule:
    """The rule of a compiled table with that generation for the first one; 0 is none."""
    if generation and isinstance(rule.then, SetGeneration):
        rule = replace(rule, then=replace(rule.then, generation=generation))
    elif generation:
        when = (replace(match, generation=generation) if isinstance(match, GenerationIs) else match for match in rule.when)
        rule = replace(rule, when=tuple(when))
    return rule


def _held(each: AnyObservedSet) -> tuple[object, ...]:
    match each:
        case ObservedPrefixSet():
            return each.family, each.content
        case ObservedSet():
            return each.family, each.expiring, each.elements
        case ObservedLiveSet():
            return each.family, each.holds, each.size


def _wanted(each: AnySet) -> tuple[object, ...]:
    match each:
        case PrefixSet():
            return each.family, each.keys.digest
        case AddressSet():
            return each.family, each.expiring, frozenset(each.elements)
        case LiveSet():
            return each.family, each.holds, each.size


def assert_contains(machine: Machine, desired: Table) -> None:
    """The sets of prefixes hold what is desired, element by element; edged itself never reads them back."""
    looking = machine.connect()
    where = placed(desired, looking.observe().table)
    looking.close()
    for each in where.sets:
        if isinstance(each, PrefixSet):
            assert machine.addresses(each.name) == [each.family.address(network) for network in each.keys.networks()]


def refusal(kernel: Kernel, *taken: Step) -> KernelError:
    """How the kernel refuses a plan of these steps; that it changed nothing is checked here."""
    before = kernel.observe()
    plan = Plan(taken, before.generation)
    with pytest.raises(KernelError) as judged:
        kernel.check(plan, now=NOW)
    with pytest.raises(KernelError) as refused:
        kernel.apply(plan, now=NOW)
    assert (judged.value.errno, judged.value.label) == (refused.value.errno, refused.value.label)
    assert kernel.observe() == before
    assert not isinstance(refused.value, StalePlan)
    return refused.value


# --- reading and writing ---


def test_an_empty_kernel_has_no_table(machine: Machine) -> None:
    kernel = machine.connect()
    assert kernel.observe() == Observed(kernel.generation(), None)
    assert kernel.counters() == {}


def test_what_was_applied_is_observed(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    assert_holds(kernel, SMALL)
    assert not diff(Desired(SMALL), kernel.observe())
    assert kernel.counters() == {DROPPED.name: CounterValue(), SENT.name: CounterValue()}


@given(drawn=st.lists(tables(), min_size=1, max_size=3), lock=st.sampled_from(Lock))
@one_machine
def test_any_table_follows_any_other(machine: Machine, drawn: list[Table], lock: Lock) -> None:
    kernel = machine.connect()
    lock = min(lock, kernel.capabilities().lock, key=list(Lock).index)
    for desired in drawn:
        bring(kernel, desired, lock)
        assert_holds(kernel, desired)
        assert_contains(machine, desired)
        assert not diff(wish(kernel, desired, lock), kernel.observe())
    bring(kernel, None)
    assert kernel.observe().table is None
    kernel.close()


@given(first=configurations(), second=configurations())
@one_machine
def test_any_policies_follow_any_others(machine: Machine, first: Drawn, second: Drawn) -> None:
    kernel = machine.connect()
    for drawn in (first, second):
        bring(kernel, drawn.table())
        assert_contains(machine, drawn.table())
        assert not diff(wish(kernel, drawn.table()), kernel.observe())
    bring(kernel, None)
    kernel.close()


def test_apply_gives_the_generation_that_it_made(machine: Machine) -> None:
    kernel = machine.connect()
    plan = diff(Desired(SMALL), kernel.observe())
    assert kernel.apply(plan, now=NOW) == kernel.generation() == plan.generation + 1


def test_an_empty_plan_writes_nothing(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    before = kernel.observe()
    assert kernel.apply(Plan((), before.generation), now=NOW) == before.generation
    assert kernel.observe() == before


def test_adding_what_is_there_makes_no_generation(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    before = kernel.observe()
    assert kernel.apply(Plan((steps.AddElements(POOL, POOL.elements),), before.generation), now=NOW) == before.generation
    assert kernel.observe() == before


def test_a_dry_run_changes_nothing(machine: Machine) -> None:
    kernel = machine.connect()
    before = kernel.observe()
    kernel.check(diff(Desired(SMALL, kernel.capabilities().lock), before), now=NOW)
    assert kernel.observe() == before


def test_probing_changes_nothing(machine: Machine) -> None:
    kernel = machine.connect()
    before = kernel.observe()
    capabilities = kernel.capabilities()
    assert capabilities.features.keys() == FEATURES.keys()
    assert capabilities.lock is Lock.OWNER_PERSIST or not capabilities.features["table_persist"]
    assert kernel.observe() == before


# --- atomicity and staleness ---


def test_a_bad_step_in_the_middle_undoes_all_and_is_named(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    lost = Rule("op25b.lost", (AddressIn(Side.SOURCE, Family.IPV4, "nowhere"),), Drop())
    refused = refusal(
        kernel,
        steps.AddCounter(Counter("op25b", Direction.DOWN, Family.IPV4, "drop")),
        steps.FillChain(Chain("op25b", (FREED, lost, BLOCK))),
        steps.RemoveSet("pool6"),
    )
    assert refused.errno == errno.ENOENT
    assert refused.label == "chain op25b, rule op25b.lost"
    assert "chain op25b, rule op25b.lost: No such file or directory (ENOENT)" in str(refused)
    assert "nothing was applied" in str(refused)


@pytest.mark.parametrize(
    ("step", "number", "label"),
    [
        (steps.CreateTable(Lock.NONE), errno.EEXIST, "create table inet edged (lock: none)"),
        (steps.AddCounter(DROPPED), errno.EEXIST, "add counter op25b_up_ip_drop"),
        (steps.AddSet(POOL), errno.EEXIST, "add set pool4"),
        (steps.AddChain(Chain("op25b")), errno.EEXIST, "add chain op25b"),
        (steps.RemoveChain("op25b"), errno.EBUSY, "remove chain op25b"),
        (steps.RemoveSet("pool4"), errno.EBUSY, "remove set pool4"),
        (steps.RemoveCounter(DROPPED.name), errno.EBUSY, "remove counter op25b_up_ip_drop"),
        (steps.RemoveSet("nowhere"), errno.ENOENT, "remove set nowhere"),
        (steps.RemoveCounter("nowhere"), errno.ENOENT, "remove counter nowhere"),
        (steps.FillChain(Chain("op25b", (Rule("x", (), Jump("nowhere")),))), errno.ENOENT, "chain op25b, rule x"),
        (steps.FillChain(Chain("op25b", (Rule("x", (), Goto("forward")),))), errno.EOPNOTSUPP, "chain op25b, rule x"),
        (steps.AddElements(POOL, (prefix("203.0.113.64/26"),)), errno.EEXIST, "set pool4: add 1 element"),
        (steps.RemoveElements(POOL, (prefix("203.0.113.0/26"),)), errno.ENOENT, "set pool4: remove 1 element"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_kernel_refuses(machine: Machine, step: Step, number: int, label: str) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    refused = refusal(kernel, step)
    assert (refused.errno, refused.label) == (number, label)


def test_a_plan_for_another_generation_is_stale(machine: Machine) -> None:
    kernel = machine.connect()
    plan = diff(Desired(SMALL), kernel.observe())
    machine.commit_elsewhere()
    for act in (kernel.check, kernel.apply):
        with pytest.raises(StalePlan, match="nothing was applied"):
            act(plan, now=NOW)
        with pytest.raises(StalePlan):
            act(Plan((), plan.generation), now=NOW)
    assert kernel.observe().table is None


# --- changes in place ---


def test_counters_and_base_chains_survive_a_refill(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    machine.count(SENT.name)
    machine.count(SENT.name)
    counted = kernel.counters()[SENT.name]
    assert counted.packets == 2
    assert counted.bytes >= 2 * 29
    sent = next(rule for rule in SMALL.rules() if rule.name == "output.sent")
    plan = bring(kernel, with_chain(SMALL, "output", sent, Rule("output.more", (PortIs(Transport.TCP, Side.SOURCE, 9),))))
    assert [type(step) for step in plan.steps] == [steps.FillChain]
    assert kernel.counters()[SENT.name] == counted
    machine.count(SENT.name)
    assert kernel.counters()[SENT.name].packets == 3


OVERLAPS = [(0, 63), (0, 127), (0, 128), (0, 255), (1, 127), (64, 100), (64, 127), (64, 192), (127, 200), (127, 255), (128, 200)]
OVERLAPS += [(128, 191), (128, 255), (192, 200), (192, 255), (193, 255)]


@pytest.mark.parametrize(("first", "last"), OVERLAPS)
def test_a_range_written_over_others_is_refused_or_undone(machine: Machine, first: int, last: int) -> None:
    """Kernels differ in what they refuse: ranges with a bound of one that is there may get in."""
    kernel = machine.connect()
    bring(kernel, SMALL)
    base = int(ip_address("203.0.113.0"))
    added = Element(Range(base + first, base + last))
    with suppress(KernelError):
        kernel.apply(Plan((steps.AddElements(POOL, (added,)),), kernel.generation()), now=NOW)
    bring(kernel, SMALL)
    assert_holds(kernel, SMALL)


def test_elements_change_in_place(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    grown = with_set(SMALL, "pool4", prefix("203.0.113.0/24"), prefix("255.255.255.255/32"))
    plan = bring(kernel, grown)
    assert [type(step) for step in plan.steps] == [steps.RemoveElements, steps.AddElements]
    assert_holds(kernel, grown)


def test_chains_that_go_may_jump_to_each_other_and_swap(machine: Machine) -> None:
    kernel = machine.connect()
    one_way = Table(chains=(Chain("low"), Chain("high", (Rule("down", (), Jump("low")),))))
    other_way = Table(chains=(Chain("low", (Rule("up", (), Goto("high")),)), Chain("high")))
    for desired in (one_way, other_way, one_way, Table()):
        bring(kernel, desired)
        assert_holds(kernel, desired)


def test_many_elements_in_one_batch(machine: Machine) -> None:
    kernel = machine.connect()
    pool = AddressSet("pool6", Family.IPV6, tuple(prefix(f"2001:db8:{n:x}::/48") for n in range(0, 10000, 2)))
    free = AddressSet("free6", Family.IPV6, tuple(prefix(f"2001:db8:{n:x}::/48", int(NOW) + 900) for n in range(2000)), True)
    table = Table(sets=(pool, free))
    bring(kernel, table)
    assert_holds(kernel, table)
    bring(kernel, Table(sets=(AddressSet("pool6", Family.IPV6), AddressSet("free6", Family.IPV6, expiring=True))))
    assert elements(kernel, "pool6") == frozenset()


# --- sets of prefixes ---


FEW = listed(*(f"10.0.{n}.0/24" for n in range(20)))
OTHERS = listed(*(f"10.0.{n}.0/24" for n in range(1, 21)))
FAR = listed(*(f"10.1.{n}.0/24" for n in range(20)))
MANY = listed(*(f"10.{n >> 8}.{n & 255}.0/24" for n in range(1000)))
ONES6 = listed(*(f"2001:db8::{n:x}/128" for n in range(20)), name="ones6")


def kinds(plan: Plan) -> list[type[Step]]:
    """The kinds of the plan's steps, in order."""
    return [type(step) for step in plan.steps]


def of_sets(plan: Plan) -> list[type[Step]]:
    """The same of those that change sets of prefixes alone."""
    return [kind for kind in kinds(plan) if kind in (steps.AddSet, steps.AddKeys, steps.RemoveKeys, steps.RemoveSet)]


ANEW = [steps.AddSet, steps.AddKeys, steps.RemoveSet]  # beside the present one, which goes once no rule asks it


def generation_in_force(kernel: Kernel) -> str:
    return standing(kernel).chains["judge"].notes["generation"]


@pytest.mark.parametrize(
    ("before", "after", "taken"),
    [
        (FEW, OTHERS, [steps.RemoveKeys, steps.AddKeys]),
        (FEW, listed(*(f"10.0.{n}.0/24" for n in range(21))), [steps.AddKeys]),
        (FEW, listed(*(f"10.0.{n}.0/24" for n in range(19))), [steps.RemoveKeys]),
        (FEW, FAR, ANEW),
        (FEW, MANY, ANEW),
        (MANY, FEW, ANEW),
        (FEW, listed("10.0.0.0/25"), ANEW),
        (FEW, listed("2001:d00::/24"), ANEW),
        (FEW, FEW, []),
    ],
)
def test_a_list_changes_in_place_or_is_made_anew_beside_it(
    machine: Machine, before: PrefixSet, after: PrefixSet, taken: list[type[Step]]
) -> None:
    kernel = machine.connect()
    bring(kernel, keeping(before, ONES6))
    assert_contains(machine, keeping(before, ONES6))
    plan = bring(kernel, keeping(after, ONES6))
    assert of_sets(plan) == taken
    assert_holds(kernel, keeping(after, ONES6))
    assert_contains(machine, keeping(after, ONES6))
    assert generation_in_force(kernel) == ("2" if taken else "1")
    assert not diff(Desired(keeping(after, ONES6)), kernel.observe())


def test_a_list_goes_and_comes_back(machine: Machine) -> None:
    kernel = machine.connect()
    for table in (keeping(FEW, ONES6), keeping(ONES6), keeping(), SMALL, keeping(FEW, ONES6)):
        bring(kernel, table)
        assert_holds(kernel, table)
        assert_contains(machine, table)


@pytest.mark.parametrize("made", [AddressSet("bad4", Family.IPV4, (prefix("10.0.0.0/24"),)), FEW], ids=["ranges", "hashed"])
def test_a_set_becomes_one_of_the_other_kind(machine: Machine, made: AddressSet | PrefixSet) -> None:
    """Hash to ranges needs another set type, for which there is no way but a new table; ranges to hash is replaced."""
    kernel = machine.connect()
    asked: Match = asks(made) if isinstance(made, PrefixSet) else AddressIn(Side.SOURCE, Family.IPV4, "bad4")
    for each, match in ((FEW, asks(FEW)), (made, asked), (FEW, asks(FEW))):
        table = Table(sets=(each,), chains=(Chain("one", (Rule("one.r", (match,), Drop()),)),))
        bring(kernel, table)
        assert_holds(kernel, table)
        assert_contains(machine, table)


def test_a_replaced_list_leaves_other_chains_their_counters_and_hooks(machine: Machine) -> None:
    kernel = machine.connect()
    output = Chain("output", (Rule("output.sent", (PortIs(Transport.UDP, Side.DESTINATION, 9),), count=SENT),), Hook("output", 0))
    before, after = (replace(keeping(each), chains=(*keeping(each).chains, output)) for each in (FEW, FAR))
    bring(kernel, before)
    machine.count(SENT.name)
    plan = bring(kernel, after)
    assert [step.chain.name for step in plan.steps if isinstance(step, steps.FillChain)] == ["judge"]
    machine.count(SENT.name)
    assert kernel.counters()[SENT.name].packets == 2


def test_many_networks_in_one_batch(machine: Machine) -> None:
    kernel = machine.connect()
    wide = PrefixSet("wide6", Keys.of(Family.IPV6, 128, range(1 << 100, (1 << 100) + 20_000)))
    table = keeping(wide)
    bring(kernel, table)
    assert_contains(machine, table)
    smaller = keeping(PrefixSet("wide6", Keys.of(Family.IPV6, 128, range((1 << 100) + 9_000, (1 << 100) + 20_000))))
    assert of_sets(bring(kernel, smaller)) == [steps.RemoveKeys]
    assert_contains(machine, smaller)


def test_a_list_takes_as_many_as_it_has_room_for_and_one_more_is_refused(machine: Machine) -> None:
    kernel = machine.connect()
    full = PrefixSet("bad4", Keys.of(Family.IPV4, 32, range(614)))
    bring(kernel, keeping(full))
    added = Keys.of(Family.IPV4, 32, range(1000, 1000 + full.size - 614))
    whole = replace(full, keys=full.keys.plus(added))
    before = kernel.observe()
    kernel.apply(Plan((steps.AddKeys(full, added),), before.generation), now=NOW)
    assert len(machine.addresses("bad4")) == full.size
    before = kernel.observe()
    one = steps.AddKeys(replace(full, keys=whole.keys), Keys.of(Family.IPV4, 32, [5000]))
    with pytest.raises(KernelError, match="set bad4: add 1 element: Too many open files in system") as refused:
        kernel.apply(Plan((one,), before.generation), now=NOW)
    assert (refused.value.errno, refused.value.label) == (errno.ENFILE, "set bad4: add 1 element")
    assert kernel.observe() == before
    assert len(machine.addresses("bad4")) == full.size


def test_a_dry_run_judges_all_but_the_networks(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, keeping(FEW))
    before = kernel.observe()
    for after in (OTHERS, FAR):
        kernel.check(diff(Desired(keeping(after)), before), now=NOW)
        assert kernel.observe() == before
        assert_contains(machine, keeping(FEW))
    lost = Rule("judge.lost", (AddressIn(Side.SOURCE, Family.IPV4, "nowhere"),), Drop())
    refused = refusal(kernel, steps.AddSet(ONES6), steps.AddKeys(ONES6, ONES6.keys), steps.FillChain(Chain("judge", (lost,))))
    assert (refused.errno, refused.label) == (errno.ENOENT, "chain judge, rule judge.lost")


def test_the_process_that_wrote_a_list_knows_it_and_the_next_one_its_digest_alone(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, keeping(FEW))
    known = standing(kernel).sets["bad4"]
    assert isinstance(known, ObservedPrefixSet)
    assert (known.content, known.keys, known.size) == (FEW.keys.digest, FEW.keys, 768)
    assert known.count in (None, 20)
    kernel.close()


def test_after_a_restart_a_changed_list_is_made_anew_and_an_unchanged_one_left(linux: LinuxMachine) -> None:
    first, later = linux.connect(), linux.connect()
    bring(first, keeping(FEW))
    seen = standing(later).sets["bad4"]
    assert isinstance(seen, ObservedPrefixSet)
    assert (seen.content, seen.keys) == (FEW.keys.digest, None)
    assert not diff(Desired(keeping(FEW)), later.observe())
    assert of_sets(bring(later, keeping(OTHERS))) == ANEW
    assert_contains(linux, keeping(OTHERS))
    assert of_sets(bring(later, keeping(FEW))) == [steps.RemoveKeys, steps.AddKeys]
    # what the first one knew is not so any more, and it notices
    assert of_sets(bring(later, keeping(OTHERS))) == [steps.RemoveKeys, steps.AddKeys]
    assert of_sets(bring(first, keeping(FEW))) == ANEW
    assert_contains(linux, keeping(FEW))


@pytest.mark.parametrize(
    ("gone", "new"), [((), ("10.9.0.0",)), (("10.0.3.0",), ()), (("10.0.3.0", "10.0.4.0"), ("10.9.0.0",))], ids=str
)
def test_another_number_of_elements_is_noticed_and_put_right(
    machine: Machine, gone: tuple[str, ...], new: tuple[str, ...]
) -> None:
    kernel = machine.connect()
    bring(kernel, keeping(FEW))
    seen = standing(kernel).sets["bad4"]
    assert isinstance(seen, ObservedPrefixSet)
    if seen.count is None:
        pytest.skip("this kernel does not tell how many elements a set has (NFTA_SET_COUNT)")
    machine.swap("bad4", tuple(map(ip_address, gone)), tuple(map(ip_address, new)))
    assert of_sets(bring(kernel, keeping(FEW))) == ANEW
    assert_contains(machine, keeping(FEW))
    assert not diff(Desired(keeping(FEW)), kernel.observe())


def test_an_element_that_a_stranger_took_makes_the_plan_to_remove_it_stale(linux: LinuxMachine) -> None:
    """As many as there were, so that only the removal shows it; the next look knows that the content is not known."""
    kernel = linux.connect()
    bring(kernel, keeping(FEW))
    linux.swap("bad4", (ip_address("10.0.0.0"),), (ip_address("10.9.0.0"),))
    plan = diff(Desired(keeping(OTHERS)), kernel.observe())
    assert of_sets(plan) == [steps.RemoveKeys, steps.AddKeys]
    with pytest.raises(StalePlan, match="set bad4: remove 1 element: not all of them are there; nothing was applied"):
        kernel.apply(plan, now=NOW)
    assert of_sets(bring(kernel, keeping(OTHERS))) == ANEW
    assert_contains(linux, keeping(OTHERS))


def test_what_was_never_put_there_cannot_be_taken_out(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, keeping(FEW))
    other = machine.connect()
    missing = steps.RemoveKeys(FEW, Keys.of(Family.IPV4, 24, [int(ip_address("192.0.2.0"))]))
    with pytest.raises(KernelError) as refused:
        other.apply(Plan((missing,), other.generation()), now=NOW)
    assert refused.value.errno == errno.ENOENT
    assert_contains(machine, keeping(FEW))


@pytest.mark.parametrize(
    "made",
    [
        "type ipv4_addr; size 768; flags timeout;",
        "type ipv4_addr; size 768; flags interval;",
        "type ipv4_addr; size 768; timeout 1h;",
        "type ipv4_addr; size 768; flags dynamic;",
        "type ipv4_addr;",
        "type ipv4_addr; size 10;",
        "type ipv6_addr; size 768;",
        "type inet_service; size 768;",
        "type ipv4_addr . inet_service; size 768;",
    ],
)
def test_a_strangers_set_of_the_same_name_gives_way(linux: LinuxMachine, made: str) -> None:
    kernel = linux.connect()
    linux.nft(f"add table inet edged; add set inet edged bad4 {{ {made} }}")
    bring(kernel, keeping(FEW))
    assert_holds(kernel, keeping(FEW))
    assert_contains(linux, keeping(FEW))
    assert not diff(Desired(keeping(FEW)), kernel.observe())


# --- verdicts kept in connections' marks ---


FOREIGN = 0xA5_00_00_5A  # bits of the marks that are somebody else's


def test_a_generation_is_voided_in_every_mark_before_it_is_written(machine: Machine) -> None:
    kernel = machine.connect()
    first, second, later = (FOREIGN | generation << 8 for generation in (1, 2, 3))
    machine.connect_marked([first, second, later, FOREIGN, 0, second | 0x0F0000, *[second] * 4])
    assert machine.marks() == {first: 1, second: 5, later: 1, FOREIGN: 1, second | 0x0F0000: 1}
    bring(kernel, keeping(FEW))
    assert machine.marks() == {second: 5, later: 1, FOREIGN: 2, second | 0x0F0000: 1}
    bring(kernel, keeping(FEW))
    assert machine.marks()[second] == 5, "nothing to do, nothing done"
    plan = bring(kernel, keeping(OTHERS))
    assert steps.VoidGeneration(MASK, 2) in plan.steps
    assert machine.marks() == {later: 1, FOREIGN: 7, FOREIGN | 0x0F0000: 1}


@pytest.mark.parametrize("mask", [0x000000FF, 0x0000FF00, 0x0FF00000, 0x7F800000])
def test_only_the_generations_own_bits_are_voided(machine: Machine, mask: int) -> None:
    kernel = machine.connect()
    low = mask & -mask
    alike = [(1 << 32) - 1 & ~mask | low * 1, low * 1, low * 3, low * 129]
    machine.connect_marked([*alike, *alike])
    kept = Rule("one.keep", (), SetGeneration(mask, 1, "x"))
    bring(kernel, Table(chains=(Chain("one", (kept,)),)))
    assert machine.marks() == {(1 << 32) - 1 & ~mask: 2, low * 3: 2, low * 129: 2}


def test_the_marks_of_twenty_thousand_connections_are_voided_within_seconds(linux: LinuxMachine) -> None:
    kernel = linux.connect()
    linux.connect_marked([FOREIGN | 0x100] * 20_000)
    assert linux.marks() == {FOREIGN | 0x100: 20_000}
    began = time.monotonic()
    bring(kernel, keeping(FEW))
    took = time.monotonic() - began
    assert linux.marks() == {FOREIGN: 20_000}
    assert took < 5


def test_a_refused_batch_may_void_marks_but_changes_no_rule(machine: Machine) -> None:
    """A voided mark costs one look-up; a mark that is not voided would be a verdict nobody gave."""
    kernel = machine.connect()
    machine.connect_marked([0x200])
    bring(kernel, keeping(FEW))
    before = kernel.observe()
    machine.commit_elsewhere()
    with pytest.raises(StalePlan):
        kernel.apply(diff(Desired(keeping(OTHERS)), before), now=NOW)
    assert_holds(kernel, keeping(FEW))
    assert machine.marks() in ({}, {0x200: 1})


# --- elements that end ---


def test_an_element_runs_out(machine: Machine) -> None:
    kernel = machine.connect()
    end = int(NOW) + 1
    ending = prefix("203.0.113.9/32", end)
    lasting = prefix("203.0.113.10/32", int(NOW) + 3600)
    bring(kernel, with_set(SMALL, "free4", ending, lasting), now=end - 0.3)
    assert elements(kernel, "free4") == {ending, lasting}
    seen = kernel.observe()
    machine.wait(0.6)
    assert elements(kernel, "free4") == {lasting}
    assert kernel.generation() == seen.generation

    removal = Plan((steps.RemoveElements(FREE, (lasting, ending)),), seen.generation)
    for act in (kernel.check, kernel.apply):
        with pytest.raises(StalePlan, match="just run out"):
            act(removal, now=NOW)
    assert elements(kernel, "free4") == {lasting}

    again = prefix("203.0.113.9/32", int(NOW) + 60)
    bring(kernel, with_set(SMALL, "free4", again, lasting))
    assert elements(kernel, "free4") == {again, lasting}
    around = prefix("203.0.113.8/31")
    bring(kernel, with_set(SMALL, "free4", around, lasting))
    assert elements(kernel, "free4") == {around, lasting}


def test_what_ran_out_is_in_no_new_ranges_way(machine: Machine) -> None:
    """The kernel keeps the remains for a while: each new range here meets the old one 64..191 at other bounds."""
    kernel = machine.connect()
    new_bounds = [
        (64, 191),
        (64, 100),
        (100, 191),
        (100, 120),
        (0, 63),
        (0, 64),
        (0, 100),
        (0, 191),
        (0, 255),
        (191, 255),
        (192, 255),
    ]
    ending = tuple(Element(Range(n * 256 + 64, n * 256 + 191), int(NOW) + 1) for n in range(len(new_bounds)))
    after = tuple(Element(Range(n * 256 + first, n * 256 + last)) for n, (first, last) in enumerate(new_bounds))
    bring(kernel, with_set(SMALL, "free4", *ending), now=int(NOW) + 0.8)
    machine.wait(0.3)
    assert elements(kernel, "free4") == frozenset()
    bring(kernel, with_set(SMALL, "free4", *after))
    assert elements(kernel, "free4") == frozenset(after)


def test_an_end_that_has_passed_ends_at_once(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, with_set(SMALL, "free4", prefix("203.0.113.9/32", int(NOW) - 60)))
    machine.wait(0.1)
    assert elements(kernel, "free4") == frozenset()


def test_an_element_gets_another_end(machine: Machine) -> None:
    kernel = machine.connect()
    for until in (int(NOW) + 60, int(NOW) + 600, None, int(NOW) + 6):
        desired = with_set(SMALL, "free4", prefix("203.0.113.9/32", until))
        bring(kernel, desired)
        assert_holds(kernel, desired)


# --- ownership ---


@pytest.mark.parametrize("lock", Lock)
def test_ownership_as_others_see_it(machine: Machine, lock: Lock) -> None:
    owner, other = machine.connect(), machine.connect()
    needs(owner, lock)
    bring(owner, SMALL, lock)
    owned = lock is not Lock.NONE
    assert standing(owner).ownership is (Ownership.OURS if owned else Ownership.OPEN)
    assert standing(other).ownership is (Ownership.ANOTHER if owned else Ownership.OPEN)


@pytest.mark.parametrize("lock", [Lock.OWNER, Lock.OWNER_PERSIST])
@pytest.mark.parametrize(
    "step", [steps.DestroyTable(), steps.RemoveCounter(DROPPED.name), steps.AdoptTable(), steps.CreateTable(Lock.NONE)]
)
def test_only_the_owner_writes(machine: Machine, lock: Lock, step: Step) -> None:
    owner, other = machine.connect(), machine.connect()
    needs(owner, lock)
    bring(owner, SMALL, lock)
    plan = Plan((step,), other.generation())
    for act in (other.check, other.apply):
        with pytest.raises(TableHeld, match=r"belongs to another running process.*nothing was changed"):
            act(plan, now=NOW)
    assert_holds(owner, SMALL)


def test_a_table_without_lock_stays_when_its_maker_goes(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    kernel.close()
    later = machine.connect()
    assert_holds(later, SMALL)
    assert standing(later).ownership is Ownership.OPEN


def test_a_table_with_owner_goes_with_it(machine: Machine) -> None:
    owner, other = machine.connect(), machine.connect()
    bring(owner, SMALL, Lock.OWNER)
    generation = other.generation()
    owner.close()
    machine.wait(0.05)
    assert other.observe() == Observed(generation, None)


def test_a_persisting_table_is_orphaned_and_adopted(machine: Machine) -> None:
    owner, heir, other = machine.connect(), machine.connect(), machine.connect()
    needs(owner, Lock.OWNER_PERSIST)
    bring(owner, SMALL, Lock.OWNER_PERSIST)
    machine.count(SENT.name)
    owner.close()
    assert standing(heir).ownership is Ownership.ORPHANED
    assert_holds(heir, SMALL)
    plan = bring(heir, SMALL, Lock.OWNER_PERSIST)
    assert plan.steps == (steps.AdoptTable(),)
    assert standing(heir).ownership is Ownership.OURS
    assert standing(other).ownership is Ownership.ANOTHER
    assert heir.counters()[SENT.name].packets == 1


@pytest.mark.parametrize("lock", [Lock.OWNER, Lock.OWNER_PERSIST])
def test_whoever_inherits_the_socket_owns_the_table(machine: Machine, lock: Lock) -> None:
    owner = machine.connect()
    needs(owner, lock)
    bring(owner, SMALL, lock)
    heir = machine.inherit(owner)
    assert standing(heir).ownership is Ownership.OURS
    desired = with_chain(SMALL, "op25b", BLOCK)
    bring(heir, desired, lock)
    assert_holds(heir, desired)


@pytest.mark.parametrize("before", Lock)
@pytest.mark.parametrize("after", Lock)
def test_the_lock_changes_with_the_table_in_force(machine: Machine, before: Lock, after: Lock) -> None:
    kernel = machine.connect()
    needs(kernel, before, after)
    bring(kernel, SMALL, before)
    bring(kernel, SMALL, after)
    assert_holds(kernel, SMALL)
    assert not diff(Desired(SMALL, after), kernel.observe())


# --- strangers ---


def test_a_flush_takes_an_open_table(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    before = kernel.generation()
    machine.flush_ruleset()
    assert kernel.observe().table is None
    assert kernel.generation() != before


@pytest.mark.parametrize("lock", [Lock.OWNER, Lock.OWNER_PERSIST])
def test_a_flush_leaves_an_owned_table(machine: Machine, lock: Lock) -> None:
    kernel = machine.connect()
    needs(kernel, lock)
    bring(kernel, SMALL, lock)
    machine.flush_ruleset()
    assert_holds(kernel, SMALL)


def test_a_rule_rewritten_in_place_is_noticed_and_put_back(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL)
    before = kernel.generation()
    assert machine.rewrite("op25b", 1, "tcp dport 26 ip saddr @pool4 counter name op25b_up_ip_drop drop")
    assert kernel.generation() != before
    freed, block, block6 = standing(kernel).chains["op25b"].fingerprints
    assert (freed, block) == (fingerprint(FREED), "")
    assert block6
    plan = bring(kernel, SMALL)
    assert [type(step) for step in plan.steps] == [steps.FillChain]
    assert_holds(kernel, SMALL)


def test_an_owned_rule_cannot_be_rewritten(machine: Machine) -> None:
    kernel = machine.connect()
    bring(kernel, SMALL, Lock.OWNER)
    assert not machine.rewrite("op25b", 1, "tcp dport 26 ip saddr @pool4 counter name op25b_up_ip_drop drop")
    assert_holds(kernel, SMALL)
