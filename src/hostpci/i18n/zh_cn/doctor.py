"""诊断：在日志中发现了什么。"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "verb.doctor": "从日志中的症状找到原因：本机、采集文件、日志文件（--log）或一行日志",
    "verb.explain": "按 doctor 给出的代码，说明一个故障的全部已知信息",
    "option.line": "粘贴的一行日志",
    "option.log": "读取一个日志文件；- 表示标准输入",
    "option.code": "故障代码；不给则列出全部代码",
    "error.doctor-what": "一行日志、--log、--host 只能给一个",
    "error.doctor-what.hint": "hostpci doctor 读取本机的日志；hostpci doctor --log FILE 读取文件",
    "error.log-unreadable": "无法读取 {path}：{reason}",
    "error.no-such-fault": "没有代码为“{name}”的故障",
    "error.no-such-fault.hint": "hostpci explain 列出全部代码",
    "doctor.head": "= 根据 {lines} 行日志的诊断 =",
    "doctor.nothing": "这些行中没有已知的直通故障。",
    "doctor.nothing.next": "请给出出错时刻前后的日志：内核日志（journalctl -k）和 Proxmox VE 的任务日志",
    "doctor.harmless": "PASS: 无需修复；下面的行看似可怕，其实无害，或说明一切正常",
    "doctor.explained-by": "是 {cause} 的后果",
    "doctor.count": "  （此类行共 {count} 行）",
    "doctor.cost": "代价：{cost} 风险：{risk}。",
    "doctor.risk.none": "无",
    "doctor.risk.low": "低",
    "doctor.risk.medium": "中",
    "doctor.risk.high": "高",
    "doctor.sources": "来源：{sources}",
    "doctor.patterns": "它出现在这样的行中（正则表达式）：",
    "doctor.more": "详见：hostpci explain {fault}",
    "doctor.kernel-log": "hostpci doctor 会查看内核在本次和之前启动中的记录",
    "doctor.explain": "hostpci explain 代码 可以看到每一项的更多说明。",
}
