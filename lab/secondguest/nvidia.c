// SPDX-License-Identifier: GPL-2.0
/*
 * What the lab's second guest has instead of NVIDIA's module: it takes display functions of that
 * vendor, reads the register that names the chip (NV_PMC_BOOT_0) out of BAR 0 and makes the two
 * device nodes that the real one makes. So "the driver is bound" is said by a kernel that has
 * read the card through VFIO, and not by a script.
 */
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>

static const struct file_operations nothing = { .owner = THIS_MODULE };
static struct miscdevice control = { MISC_DYNAMIC_MINOR, "nvidiactl", &nothing };
static struct miscdevice card = { MISC_DYNAMIC_MINOR, "nvidia0", &nothing };
static u32 chip;
module_param(chip, uint, 0444);

static int take(struct pci_dev *dev, const struct pci_device_id *id)
{
	void __iomem *registers;
	int error = pcim_enable_device(dev);

	if (error)
		return error;
	registers = pcim_iomap(dev, 0, 4096);
	if (!registers)
		return -ENOMEM;
	chip = readl(registers);
	if (chip == 0xffffffff) {
		dev_err(&dev->dev, "nvidia: the card does not answer\n");
		return -ENODEV;
	}
	dev_info(&dev->dev, "nvidia: chip %08x\n", chip);
	return misc_register(&card);
}

static void leave(struct pci_dev *dev)
{
	misc_deregister(&card);
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x10de, PCI_ANY_ID), .class = 0x030000, .class_mask = 0xff0000 },
	{}
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = { .name = "nvidia", .id_table = ids, .probe = take, .remove = leave };

static int __init start(void)
{
	int error = misc_register(&control);

	if (error)
		return error;
	error = pci_register_driver(&driver);
	if (error)
		misc_deregister(&control);
	return error;
}

static void __exit stop(void)
{
	pci_unregister_driver(&driver);
	misc_deregister(&control);
}

module_init(start);
module_exit(stop);
MODULE_DESCRIPTION("Stand-in of the lab for NVIDIA's kernel module");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("580.95.05");
