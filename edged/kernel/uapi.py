"""Numbers of the kernel's netlink: linux/netlink.h; of linux/netfilter/: nfnetlink.h, nf_tables.h, nfnetlink_conntrack.h."""

from __future__ import annotations

from typing import Final

# --- linux/netlink.h ---
NETLINK_NETFILTER: Final = 12
SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
NETLINK_DROP_MEMBERSHIP: Final = 2
NETLINK_CAP_ACK: Final = 10
NETLINK_EXT_ACK: Final = 11
NLM_F_REQUEST: Final = 0x001
NLM_F_DUMP_INTR: Final = 0x010
NLM_F_CAPPED: Final = 0x100
NLM_F_ACK_TLVS: Final = 0x200
NLM_F_DUMP: Final = 0x300
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800
NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3
NLMSGERR_ATTR_MSG: Final = 1

# --- linux/netfilter/nfnetlink.h, linux/netfilter.h ---
NFNL_SUBSYS_NFTABLES: Final = 10
NFNL_BATCH_BEGIN: Final = 0x10
NFNL_BATCH_END: Final = 0x11
NFNL_BATCH_GENID: Final = 1
NFNLGRP_NFTABLES: Final = 7
NFPROTO_UNSPEC: Final = 0
NFPROTO_INET: Final = 1
NFPROTO_IPV4: Final = 2
NFPROTO_NETDEV: Final = 5
NFPROTO_IPV6: Final = 10
HOOKS: Final = ("prerouting", "input", "forward", "output", "postrouting", "ingress")
NF_ACCEPT: Final = 1


class Msg:
    """NFT_MSG_*."""

    NEWTABLE: Final = 0
    GETTABLE: Final = 1
    DELTABLE: Final = 2
    NEWCHAIN: Final = 3
    GETCHAIN: Final = 4
    DELCHAIN: Final = 5
    NEWRULE: Final = 6
    GETRULE: Final = 7
    DELRULE: Final = 8
    NEWSET: Final = 9
    GETSET: Final = 10
    DELSET: Final = 11
    NEWSETELEM: Final = 12
    GETSETELEM: Final = 13
    DELSETELEM: Final = 14
    NEWGEN: Final = 15
    GETGEN: Final = 16
    NEWOBJ: Final = 18
    GETOBJ: Final = 19
    DELOBJ: Final = 20
    NEWFLOWTABLE: Final = 22
    GETFLOWTABLE: Final = 23
    DELFLOWTABLE: Final = 24
    DESTROYTABLE: Final = 26


class TableAttr:
    """NFTA_TABLE_*."""

    NAME: Final = 1
    FLAGS: Final = 2
    OWNER: Final = 7


TABLE_F_DORMANT: Final = 1
TABLE_F_OWNER: Final = 2
TABLE_F_PERSIST: Final = 4


class ChainAttr:
    """NFTA_CHAIN_* and NFTA_HOOK_*."""

    TABLE: Final = 1
    NAME: Final = 3
    HOOK: Final = 4
    POLICY: Final = 5
    TYPE: Final = 7
    FLAGS: Final = 10
    HOOK_NUM: Final = 1
    HOOK_PRIORITY: Final = 2


CHAIN_BINDING: Final = 4


class RuleAttr:
    """NFTA_RULE_*."""

    TABLE: Final = 1
    CHAIN: Final = 2
    HANDLE: Final = 3
    EXPRESSIONS: Final = 4
    POSITION: Final = 6
    USERDATA: Final = 7


LIST_ELEM: Final = 1
EXPR_NAME: Final = 1
EXPR_DATA: Final = 2


class SetAttr:
    """NFTA_SET_*."""

    TABLE: Final = 1
    NAME: Final = 2
    FLAGS: Final = 3
    KEY_TYPE: Final = 4
    KEY_LEN: Final = 5
    DATA_TYPE: Final = 6
    DATA_LEN: Final = 7
    DESC: Final = 9
    DESC_SIZE: Final = 1
    ID: Final = 10
    TIMEOUT: Final = 11
    USERDATA: Final = 13
    OBJ_TYPE: Final = 15
    EXPR: Final = 17
    EXPRESSIONS: Final = 18
    COUNT: Final = 20


SET_ANONYMOUS: Final = 0x01
SET_INTERVAL: Final = 0x04
SET_MAP: Final = 0x08
SET_TIMEOUT: Final = 0x10
SET_EVAL: Final = 0x20
SET_OBJECT: Final = 0x40


class ElemAttr:
    """NFTA_SET_ELEM_LIST_* and NFTA_SET_ELEM_*."""

    LIST_TABLE: Final = 1
    LIST_SET: Final = 2
    LIST_ELEMENTS: Final = 3
    KEY: Final = 1
    FLAGS: Final = 3
    TIMEOUT: Final = 4
    EXPIRATION: Final = 5
    USERDATA: Final = 6
    EXPR: Final = 7
    EXPRESSIONS: Final = 11


ELEM_INTERVAL_END: Final = 1
DATA_VALUE: Final = 1
DATA_VERDICT: Final = 2
VERDICT_CODE: Final = 1
VERDICT_CHAIN: Final = 2


class ObjAttr:
    """NFTA_OBJ_* and NFTA_COUNTER_*."""

    TABLE: Final = 1
    NAME: Final = 2
    TYPE: Final = 3
    DATA: Final = 4
    COUNTER_BYTES: Final = 1
    COUNTER_PACKETS: Final = 2


OBJECT_COUNTER: Final = 1
OBJECT_LIMIT: Final = 4


class GenAttr:
    """NFTA_GEN_*."""

    ID: Final = 1
    PROC_PID: Final = 2
    PROC_NAME: Final = 3


class FlowtableAttr:
    """NFTA_FLOWTABLE_* and NFTA_FLOWTABLE_HOOK_*."""

    TABLE: Final = 1
    NAME: Final = 2
    HOOK: Final = 3
    FLAGS: Final = 7
    HOOK_NUM: Final = 1
    HOOK_PRIORITY: Final = 2
    HOOK_DEVS: Final = 3


FLOWTABLE_HARDWARE: Final = 1


class CtAttr:
    """CTA_*, and by what they are in: CTA_TUPLE_*, CTA_IP_*, CTA_PROTO_*, CTA_COUNTERS_*."""

    TUPLE_ORIG: Final = 1
    TUPLE_REPLY: Final = 2
    MARK: Final = 8
    COUNTERS_ORIG: Final = 9
    COUNTERS_REPLY: Final = 10
    ID: Final = 12
    ZONE: Final = 18
    MARK_MASK: Final = 21
    TUPLE_IP: Final = 1
    TUPLE_PROTO: Final = 2
    IP_V4_SRC: Final = 1
    IP_V6_SRC: Final = 3
    PROTO_NUM: Final = 1
    PROTO_SRC_PORT: Final = 2
    COUNTERS_PACKETS: Final = 1
    COUNTERS_BYTES: Final = 2
