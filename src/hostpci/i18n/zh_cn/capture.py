"""捕获文件包含什么，以及其中替换了什么。"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "option.preview": "只显示捕获文件会包含什么、会替换什么，不写入",
    "capture.preview": "这台宿主机的捕获文件（{kib} KiB）会包含：",
    "capture.source": "  {lines:>6} 行  {source}",
    "capture.kernel": "  以及内核和系统给出的 {count} 个关于设备、驱动和模块的值",
    "capture.replaced": "其中已替换：{kinds}",
    "error.output-exists": "{path} 已存在；没有动它",
    "error.output-exists.hint": "请换一个名称，或先删除它",
    "capture.kind.address": "个 IP 地址",
    "capture.kind.digest": "个哈希或长十六进制数",
    "capture.kind.domain": "个域名",
    "capture.kind.label": "个标签",
    "capture.kind.mac": "个 MAC 地址",
    "capture.kind.name": "个不确定是否无害的词",
    "capture.kind.network": "个 IPv4 网络",
    "capture.kind.network6": "个 IPv6 网络",
    "capture.kind.node": "个节点名",
    "capture.kind.number": "个长数字",
    "capture.kind.pool": "个池名",
    "capture.kind.secret": "个密钥、令牌或密码",
    "capture.kind.storage": "个存储名",
    "capture.kind.token": "个令牌名",
    "capture.kind.user": "个用户名",
    "capture.kind.uuid": "个 UUID",
    "capture.kind.vfat": "个文件系统序列号",
    "capture.kind.vm": "个虚拟机名称",
    "capture.kind.wwn": "个 WWN",
}
