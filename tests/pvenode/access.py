"""Users, tokens, roles, permissions [pve-access-control PVE/AccessControl.pm, RPCEnvironment]."""

from __future__ import annotations

import time
from typing import Any

from .errors import Refusal, denied

_ADMIN = {
    "VM": ["VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network",
           "VM.Config.HWType", "VM.Config.Options", "VM.Allocate", "VM.Clone", "VM.Migrate",
           "VM.Snapshot", "VM.Snapshot.Rollback"],
    "Sys": ["Sys.Console", "Sys.Syslog"],
    "Datastore": ["Datastore.Allocate", "Datastore.AllocateTemplate"],
    "SDN": ["SDN.Allocate"], "Pool": ["Pool.Allocate"], "Mapping": ["Mapping.Modify"],
    "User": ["User.Modify", "Group.Allocate", "Realm.AllocateUser"],
}  # fmt: skip
_USER = {
    "VM": ["VM.Config.CDROM", "VM.Config.Cloudinit", "VM.Console", "VM.Backup", "VM.PowerMgmt"],
    "Datastore": ["Datastore.AllocateSpace"], "SDN": ["SDN.Use"], "Pool": ["Pool.Audit"],
    "Mapping": ["Mapping.Use"],
}  # fmt: skip
_AUDIT = {
    "VM": ["VM.Audit"], "Sys": ["Sys.Audit"], "Datastore": ["Datastore.Audit"],
    "SDN": ["SDN.Audit"], "Pool": ["Pool.Audit"], "Mapping": ["Mapping.Audit"],
}  # fmt: skip
_ROOT = ["Sys.PowerMgmt", "Sys.Modify", "Sys.Incoming", "Sys.AccessNetwork", "Realm.Allocate",
         "Permissions.Modify"]  # fmt: skip
_AGENT = ["VM.GuestAgent.FileRead", "VM.GuestAgent.FileWrite", "VM.GuestAgent.FileSystemMgmt",
          "VM.GuestAgent.Unrestricted"]  # fmt: skip
_TOP = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")


def roles(version: int) -> dict[str, set[str]]:
    pve8 = version <= 8
    more_admin = {"VM": ["VM.Monitor"] if pve8 else [*_AGENT, "VM.Replicate"]}
    more_audit: dict[str, list[str]] = {} if pve8 else {"VM": ["VM.GuestAgent.Audit"]}
    made: dict[str, set[str]] = {"NoAccess": set(), "PVEAuditor": set(), "PVEAdmin": set()}
    everything = set(_ROOT)
    for name, of_admin in _ADMIN.items():
        audit = {*_AUDIT.get(name, []), *more_audit.get(name, [])}
        user = {*_USER.get(name, []), *audit}
        admin = {*of_admin, *more_admin.get(name, []), *user}
        made[f"PVE{name}Admin"], made["PVEAdmin"] = admin, made["PVEAdmin"] | admin
        if name in _USER:
            made[f"PVE{name}User"] = user
        made["PVEAuditor"] |= audit
        everything |= admin
    made["PVEAdmin"].discard("Mapping.Modify")
    made["PVETemplateUser"] = {"VM.Clone", "VM.Audit"}
    made["Administrator"] = everything
    return made


class Access:
    """``data``: users, tokens, acl and own roles, as the node's state keeps them."""

    def __init__(self, data: dict[str, Any], version: int) -> None:
        self._data = data
        self._roles = {**roles(version), **{k: set(v) for k, v in data["roles"].items()}}

    def permissions(self, who: str, path: str) -> set[str]:
        if who == "root@pam":
            return set(self._roles["Administrator"])
        user, mark, _name = who.partition("!")
        if not mark:
            return self._granted(who, path)
        token = self._data["tokens"].get(who)
        if token is None:
            return set()
        of_user = self.permissions(user, path)
        if not token.get("privsep", 1):
            return of_user
        return self._granted(who, path) & of_user

    def _granted(self, who: str, path: str) -> set[str]:
        """The deepest entry on the way decides; those above count where they pass on."""
        found: list[str] = []
        for each in _way(path):
            here = [
                entry["role"]
                for entry in self._data["acl"]
                if entry["path"] == each
                and entry["who"] == who
                and (each == path or entry.get("propagate", 1))
            ]
            found = here or found
        if "NoAccess" in found:
            return set()
        return {privilege for role in found for privilege in self._roles.get(role, ())}

    def flags(self, who: str, path: str) -> dict[str, int]:
        """What is held, and whether it passes on to what lies below: PVE's answers hold that."""
        user = who.partition("!")[0]
        passes = {
            privilege
            for entry in self._data["acl"]
            if entry["who"] in {who, user}
            and entry["path"] in _way(path)
            and entry.get("propagate", 1)
            for privilege in self._roles.get(entry["role"], ())
        }
        is_root = user == "root@pam"
        return {
            each: int(is_root or each in passes) for each in sorted(self.permissions(who, path))
        }

    def has(self, who: str, path: str, *privileges: str, any_: bool = False) -> bool:
        held = self.permissions(who, path)
        return any(p in held for p in privileges) if any_ else held.issuperset(privileges)

    def require(self, who: str, path: str, *privileges: str, any_: bool = False) -> None:
        held = self.permissions(who, path)
        if any_ and not held.intersection(privileges):
            raise denied(f"{path}, {'|'.join(privileges)}")
        missing = [each for each in privileges if each not in held]
        if missing and not any_:
            raise denied(f"{path}, {missing[0]}")

    def check(
        self, rule: list[Any], who: str, params: dict[str, Any], *, quiet: bool = False
    ) -> bool:
        """A rule of the schema: ``["perm", "/vms/{vmid}", ["VM.Audit"], "any", 1]``."""
        kind = rule[0]
        if kind == "and":
            return all(self.check(each, who, params) for each in rule[1:])
        if kind == "or":
            if any(self.check(each, who, params, quiet=True) for each in rule[1:]):
                return True
        elif kind == "perm":
            options = dict(zip(rule[3::2], rule[4::2], strict=True))
            needed = options.get("require_param")
            if needed is None or needed in params:
                path = rule[1].format_map({k: v for k, v in params.items() if isinstance(v, str)})
                any_ = bool(options.get("any"))
                if quiet:
                    return self.has(who, path, *rule[2], any_=any_)
                self.require(who, path, *rule[2], any_=any_)
                return True
        elif kind == "userid-param":
            if params.get("userid") == who.partition("!")[0]:
                return True
        elif kind == "userid-group":
            if self.has(who, "/access/groups", *rule[1], any_=True):
                return True
        if quiet:
            return False
        raise denied()

    def of_method(self, permissions: dict[str, Any], who: str, params: dict[str, Any]) -> None:
        if not who:
            if permissions.get("user") == "world":
                return
            raise denied("user != null")
        if who == "root@pam" or permissions.get("user") == "all":
            return
        if not permissions.get("check"):
            raise denied("user != root@pam" if not permissions else "")
        self.check(permissions["check"], who, params)

    def effective(self, who: str) -> dict[str, dict[str, int]]:
        paths = {*_TOP, *(way for each in self._data["acl"] for way in _way(each["path"]))}
        found = {path: self.flags(who, path) for path in paths}
        return {path: held for path, held in found.items() if held}

    def token_user(self, text: str) -> str:
        """Who ``USER@REALM!NAME=SECRET`` is; PVE does not say what is wrong with another."""
        name, _, secret = text.partition("=")
        token = self._data["tokens"].get(name)
        user = self._data["users"].get(name.partition("!")[0], {})
        now = time.time()
        good = token is not None and token["secret"] == secret and user.get("enable", 1)
        expires = [each for each in ((token or {}).get("expire"), user.get("expire")) if each]
        if not good or any(each < now for each in expires):
            raise Refusal("Authentication failed!", status=401)
        return name


def _way(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    return ["/", *("/" + "/".join(parts[: n + 1]) for n in range(len(parts)))]
