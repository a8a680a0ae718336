# Stage III with MMagic on two CPU cores, as options/demo/stage3_x8.yml has it, after options/demo/stage2_x8.yml.
_base_ = "gpemsr_x8.py"

model = dict(
    generator=dict(
        num_feat=48,
        hr_feat=16,
        num_extract_block=3,
        deformable_groups=2,
        prior=dict(
            _delete_=True,
            channels=[32, 32, 48, 64, 96],
            num_res_blocks=2,
            norm_groups=8,
            vqgan=dict(channels=[16, 32, 48, 64, 96], num_codes=256, code_dim=32, norm_groups=8),
        ),
        perceptual="vqgan",
        vgg_weights=None,
        flow="train",
        flow_weights=None,
        flow_scale=1,
        flow_levels=3,
    ),
    pixel_loss=dict(_delete_=True, type="CharbonnierLoss", loss_weight=1.0, reduction="mean", eps=0.01),
    contextual_loss=None,  # the paper's; on a CPU it costs a third of the time
)
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        name="train",
        dataroot_gt="demo/data/demo_train_hr.lmdb",
        dataroot_lq="demo/data/demo_train_lr_x8.lmdb",
        gt_size=192,
    ),
)
val_dataloader = dict(
    num_workers=0,
    dataset=dict(
        name="test",
        dataroot_gt="demo/data/demo_test_hr.lmdb",
        dataroot_lq="demo/data/demo_test_lr_x8.lmdb",
    ),
)
train_cfg = dict(max_iters=900, val_interval=300)
optim_wrapper = dict(optimizer=dict(_delete_=True, type="Adam", lr=1e-3, betas=(0.9, 0.99)))
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, start_factor=1 / 50, begin=0, end=50),
    dict(type="CosineRestartLR", by_epoch=False, periods=[900], restart_weights=[1], eta_min=1e-6),
]
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=300))
custom_hooks = [dict(type="EMAHook", momentum=0.01), dict(type="BasicSRCheckpointHook")]
