# Stage III with MMagic, x16: the settings of the paper, as options/stage3_x16.yml has them.
_base_ = "gpemsr_x8.py"

scale = 16
model = dict(
    generator=dict(scale=scale),
    contextual_loss=dict(loss_weight=0.01),
    pretrain_prior="experiments/stage2_x16/models/net_g_latest.pth",
)
train_dataloader = dict(dataset=dict(scale=scale, dataroot_lq="datasets/cremi/cremi_train_lr_x16.lmdb"))
val_dataloader = dict(dataset=dict(scale=scale, dataroot_lq="datasets/cremi/cremi_val_lr_x16.lmdb"))
