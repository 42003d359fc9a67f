"""The lock-out guard: nothing takes effect that would cut off who manages this gateway, its resolvers or its monitoring.

What can cut whom. edged's chains stop forwarded packets alone, so a login to the gateway itself, its own BGP, RADIUS or etcd
sessions, and who scrapes it, are not touched by any policy of this release; the guard looks all the same, through the hooks that
such packets pass, so that it will say so when that changes. What a policy can cut is what goes *through* the gateway: from the
machine an operator works on to the subscribers and to other machines behind this one, from subscribers to the resolvers, and a
login whose server is not this namespace's own. And a list can name any of them, which its own guards refuse (sources/guards.py).

    farend     who must not be cut off, and by what that is known                                 pure
    talks      which conversations each of them lives by                                          pure
    guard      the compiled table against each packet of them, by the evaluator of explain        pure
    logins     who is logged in by now, and how this process's own login came
    gather     all of them, as the machine is now
"""
