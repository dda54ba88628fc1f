"""主机会失去什么，以及对此的同意。"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "option.accept": "按 check 给出的名称接受这一风险；可以多次使用",
    # 同意：用什么词，会失去什么
    "consent.none": "不能接受",
    "consent.possible": "可以用 --accept {name} 接受：{loss}",
    "consent.accepted": "认领已接受（{name}）：{loss}",
    "consent.group-shares-usb": "这个 USB 控制器及插在它上面的一切会随卡离开主机",
    "consent.group-shares-nic": "这块主机现在没有使用的网卡会随卡离开主机",
    "consent.group-shares-storage": "这个磁盘控制器（主机现在没有使用它的任何磁盘）会随卡离开主机",
    "consent.group-shares-audio": "这个声音设备会随卡离开主机",
    "consent.group-shares-display": "这个显示设备及其上的画面会随卡离开主机",
    "consent.group-shares-other": "这个设备会随卡离开主机",
    "consent.last-usb-input": "主机上不再有键盘或鼠标：只能通过网络进入",
    "consent.boot-vga-only": "主机唯一的屏幕会黑屏：只能通过网络进入",
    "consent.in-use-by-host": "这些程序从下一次启动起失去该设备，可能出错",
    "consent.acs-asserted": "不同 IOMMU 组的设备可能绕过 IOMMU 互相访问内存",
    "finding.consent-unknown.fails": "认领接受了 {name!r}，但没有这个名称的风险",
    "finding.consent-unknown.remedy": "它不起任何作用；可用的名称：{known}",
    "step.claim-accept": "写下接受的风险",
    "step.claim-accept.why": "本机的所有者按名称接受一项风险",
    "step.claim-accept.risk": "就是所接受的那一项：hostpci check 会说明失去什么",
    "step.claim-accept.undo": "恢复原文件",
    "error.consent-unknown": "没有名为 {name!r} 的风险；没有做任何更改",
    "error.consent-unknown.hint": "{slot} 可以接受的风险：{possible}",
    "error.consent-idle": "{slot} 没有可用 {name} 接受的风险；没有做任何更改",
    "error.consent-idle.hint": "{slot} 可以接受的风险：{possible}；hostpci check {slot} 会说明失去什么，以及什么永远不能接受",
    "error.claim-needs-consent": "除非所有者接受会失去的东西（{names}），否则不能认领 {slot}；没有做任何更改",
    "error.claim-needs-consent.hint": "hostpci check {slot} 会说明是什么；然后：hostpci claim {slot} {words}",
}
