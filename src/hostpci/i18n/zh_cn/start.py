"""启动与关闭虚拟机。"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "verb.start": "启动虚拟机；失败时读取任务日志并说明原因",
    "verb.stop": "关闭虚拟机：请求客户机自行关机，并给它时间",
    "option.timeout": "给客户机关机的秒数（默认 180）",
    "option.force": "到时客户机仍未关机就结束 QEMU：尚未写入的数据会丢失",
    "start.done": "虚拟机 {vmid} 已在 {node} 上运行（{state}）。",
    "start.was-running": "虚拟机 {vmid} 已经在 {node} 上运行（{state}）；未做任何操作。",
    "start.warnings": "PVE 启动了它，结果为 {status}：",
    "stop.done": "虚拟机 {vmid} 已在 {node} 上关闭。",
    "stop.was-stopped": "虚拟机 {vmid} 没有在 {node} 上运行；未做任何操作。",
    "error.start-failed": "虚拟机 {vmid} 没有启动：{status}\n{log}",
    "error.start-failed.hint": "任务日志指向的原因列在下面；hostpci explain CODE 会详细说明某个原因，hostpci check 会检查主机",
    "error.start-not-running": "PVE 的任务以 {status} 结束，但虚拟机 {vmid} 没有运行\n{log}",
    "error.start-not-running.hint": "若由高可用管理，则由其管理器启动：请看 ha-manager status；否则 QEMU 立即退出了：请看此刻前后的 journalctl -b",
    "error.stop-still-running": "已请求虚拟机 {vmid} 关机，{seconds} 秒后它仍在运行（{status}）；保持其运行",
    "error.stop-still-running.hint": "它可能稍后才关机；没有 ACPI 或客户机代理的系统收不到请求。hostpci stop {vmid} --force 会在到时后结束 QEMU，对客户机来说等于断电",
    "error.stop-failed": "虚拟机 {vmid} 无法关闭：{status}",
    "error.stop-failed.hint": "请看 PVE 中它的任务：pvenode task list --vmid {vmid}",
    "error.stop-bad-timeout": "“{text}”不是 1 到 {most} 之间的秒数",
}
