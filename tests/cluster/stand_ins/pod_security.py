"""The restricted Pod Security Standard as a check (kubernetes.io/docs/concepts/security/pod-security-standards)."""

from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: dict[str, Any]) -> list[str]:
    """What a pod's spec does that the restricted standard forbids; empty when nothing."""
    found = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    for volume in pod.get("volumes", []):
        found += [f"volume {volume['name']} is a {kind}" for kind in set(volume) - {"name"} - VOLUMES]
    shared = pod.get("securityContext", {})
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = container.get("securityContext", {})
        both = {**shared, **own}
        name = container["name"]
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f"{name} may escalate privileges")
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            found.append(f"{name} does not drop all capabilities")
        if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append(f"{name} adds capabilities")
        if own.get("privileged"):
            found.append(f"{name} is privileged")
        if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
            found.append(f"{name} may run as root")
        if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name} has no seccomp profile")
        found += [f"{name} uses a host port" for port in container.get("ports", []) if port.get("hostPort")]
    return found
