"""What the host would lose, and consent to it."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "option.accept": "take this risk, by the name that check gives it; may be said several times",
    # consent: in which words, and what is lost
    "consent.none": "cannot be accepted",
    "consent.possible": "can be accepted with --accept {name}: {loss}",
    "consent.accepted": "accepted by the claim ({name}): {loss}",
    "consent.group-shares-usb": "this USB controller and all that is plugged into it leave the host with the card",
    "consent.group-shares-nic": "this network card, which the host does not use now, leaves the host with the card",
    "consent.group-shares-storage": "this disk controller, of whose disks the host uses none now, leaves the host with the card",
    "consent.group-shares-audio": "this sound device leaves the host with the card",
    "consent.group-shares-display": "this display device and any picture on it leave the host with the card",
    "consent.group-shares-other": "this device leaves the host with the card",
    "consent.last-usb-input": "no keyboard or mouse is left at the host: only the network is a way in",
    "consent.boot-vga-only": "the host's only screen goes dark: only the network is a way in",
    "consent.in-use-by-host": "these programs lose the device at the next boot and may fail",
    "consent.acs-asserted": "devices of different groups may reach each other's memory past the IOMMU",
    "finding.consent-unknown.fails": "the claim accepts {name!r}, which is no risk that has a name",
    "finding.consent-unknown.remedy": "it changes nothing; names are: {known}",
    "step.claim-accept": "write down what is accepted",
    "step.claim-accept.why": "the owner of this host takes a risk by its name",
    "step.claim-accept.risk": "the one that is accepted: 'hostpci check' says what is lost",
    "step.claim-accept.undo": "the file as it was",
    "error.consent-unknown": "there is no risk named {name!r}; nothing was changed",
    "error.consent-unknown.hint": "what can be accepted for {slot}: {possible}",
    "error.consent-idle": "{slot} has nothing that is accepted by {name}; nothing was changed",
    "error.consent-idle.hint": "what can be accepted for {slot}: {possible}; 'hostpci check {slot}' says what is lost, and what can never be accepted",
    "error.claim-needs-consent": "{slot} cannot be claimed unless its owner accepts what is lost ({names}); nothing was changed",
    "error.claim-needs-consent.hint": "'hostpci check {slot}' says what that is; then: hostpci claim {slot} {words}",
}
