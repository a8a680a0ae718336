# Stage III with MMagic: windows of five LR sections and the prior -> the HR centre section, x8.
# The settings of the paper, as options/stage3_x8.yml has them.
default_scope = "mmagic"
custom_imports = dict(imports=["gpemsr.mmagic"], allow_failed_imports=False)

scale = 8
num_frame = 5

# network and losses
model = dict(
    type="GPEMSREditor",
    generator=dict(
        type="GPEMSR",
        scale=scale,
        num_feat=64,
        hr_feat=None,
        num_frame=num_frame,
        num_extract_block=5,
        num_fusion_block=1,
        num_reconstruct_block=10,
        deformable_groups=8,
        prior=dict(
            channels=[64, 64, 128, 256, 512],
            num_res_blocks=2,
            norm_groups=32,
            vqgan=dict(
                channels=[64, 64, 128, 256, 512],
                num_codes=1024,
                code_dim=512,
                num_res_blocks=1,
                norm_groups=32,
            ),
        ),
        perceptual="vgg19",  # or vqgan: features of our own stage I encoder, nothing to download
        vgg_weights="download",  # or the path of torchvision's vgg19-dcbb9e9d.pth
        flow="spynet",  # or train: SPyNet learned with the rest, nothing to download
        flow_weights="download",  # or the path of BasicSR's spynet_sintel_final-3d2a1287.pth
        flow_scale=4,
        flow_levels=6,
    ),
    pixel_loss=dict(type="L1Loss", loss_weight=1.0, reduction="mean"),
    contextual_loss=dict(
        type="ContextualLoss", loss_weight=0.001, band_width=0.5, features="vgg19", vgg_weights="download"
    ),
    pretrain_prior="experiments/stage2_x8/models/net_g_latest.pth",  # the result of stage II
)

# data
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="SectionWindowDataset",
        name="CREMI_train",
        scale=scale,
        dataroot_gt="datasets/cremi/cremi_train_hr.lmdb",
        dataroot_lq="datasets/cremi/cremi_train_lr_x8.lmdb",
        io_backend=dict(type="lmdb"),
        num_frame=num_frame,
        gt_size=256,
        use_hflip=True,
        use_rot=True,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="SectionWindowTestDataset",
        name="CREMI_val",
        scale=scale,
        dataroot_gt="datasets/cremi/cremi_val_hr.lmdb",
        dataroot_lq="datasets/cremi/cremi_val_lr_x8.lmdb",
        io_backend=dict(type="lmdb"),
        num_frame=num_frame,
    ),
)
val_evaluator = dict(
    type="Evaluator",
    metrics=[
        dict(
            type="BasicSRMetrics",
            metrics=dict(
                psnr=dict(type="calculate_psnr", crop_border=0),
                ssim=dict(type="calculate_ssim", crop_border=0),
            ),
        ),
    ],
)

# training
train_cfg = dict(type="IterBasedTrainLoop", max_iters=480000, val_interval=5000)
val_cfg = dict(type="MultiValLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=4e-4, weight_decay=0, betas=(0.9, 0.99)),
    paramwise_cfg=dict(custom_keys=dict(conv_offset=dict(lr_mult=0.1))),  # offsets of deformable convolutions
)
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, start_factor=1 / 1000, begin=0, end=1000),
    dict(
        type="CosineRestartLR",
        by_epoch=False,
        periods=[40000, 80000, 120000, 120000, 120000],
        restart_weights=[1, 1, 1, 1, 1],
        eta_min=1e-7,
    ),
]
randomness = dict(seed=0, diff_rank_seed=True)

# checkpoints and logs
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=100),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=5000),
)
custom_hooks = [dict(type="BasicSRCheckpointHook")]
log_processor = dict(by_epoch=False)
visualizer = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")])
