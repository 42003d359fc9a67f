"""The live queue: processes that look at the first packets of flows, and who watches that none of them delays a packet.

    kernel ("queue ... bypass") -- Queue, one socket a queue number
                                     |                 |
                            Workers, the supervisor    a worker process: Service, with an inspector
                            binds, releases, restarts  reads, inspects, accepts

The sockets are the supervisor's and outlive the workers: an NFQUEUE is bound once, before rules send anything to it, because
between binding one and setting it up the kernel drops what comes, and because it drops what waits in one that is unbound
(nfnetlink_queue.c: nfqnl_enqueue_packet, nfqnl_flush). A worker that dies or lags is passed by instead: the queue's length is
set to 0, which with the fail-open flag lets every packet by, and what waits in it is accepted, not dropped.
"""
