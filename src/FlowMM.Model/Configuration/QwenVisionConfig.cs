namespace FlowMM.Model.Configuration;

/// <summary>Sizes of Qwen2.5-VL's tower.</summary>
internal sealed record QwenVisionConfig : VisionConfig
{
    /// <summary>Of every RMS norm in the tower; no setting says so.</summary>
    public const double NormEpsilon = 1e-6;

    private static readonly HashSet<int> DefaultFullLayers = [7, 15, 23, 31];

    /// <summary>Frames of a patch; a still picture is repeated.</summary>
    public required int Frames { get; init; }

    /// <summary>Side of the squares of patches that become one token.</summary>
    public required int Merge { get; init; }

    /// <summary>Side of an attention window, in such squares.</summary>
    public required int Window { get; init; }

    /// <summary>Layers that attend across the whole picture.</summary>
    public required IReadOnlySet<int> FullLayers { get; init; }

    /// <summary>Base of the rotary angles.</summary>
    public required double Theta { get; init; }

    public override string Kind => $"windowed tower of {Layers} layers, pictures of any size";

    public override int Tokens => 0;

    public override int Side => 0;

    /// <param name="vision">vision_config.</param>
    /// <param name="width">The decoder's width.</param>
    /// <exception cref="CheckpointException">A field is missing, wrong, or asks for what is not supported.</exception>
    public static QwenVisionConfig Read(JsonFields vision, int width)
    {
        string activation = vision.Text("hidden_act", "silu");
        vision.Check(activation == "silu", $"vision hidden_act '{activation}' is not supported.");
        vision.Check(vision.Whole("in_channels", vision.Whole("in_chans", 3)) == 3, "pictures of other than 3 channels are not supported.");
        vision.Check(vision.Whole("out_hidden_size", width) == width, $"out_hidden_size must be the decoder's hidden_size, {width}.");
        int patch = vision.Whole("patch_size", 14), merge = vision.Whole("spatial_merge_size", 2), window = vision.Whole("window_size", 112);
        vision.Check(patch is > 0 and <= 256 && merge is > 0 and <= 16 && window >= patch * merge, "patch_size, spatial_merge_size or window_size is out of range.");
        QwenVisionConfig config = new()
        {
            Layers = vision.Positive("depth"),
            Width = vision.Positive("hidden_size"),
            Heads = vision.Positive("num_heads"),
            MlpWidth = vision.Positive("intermediate_size"),
            PatchSize = patch,
            Frames = vision.Whole("temporal_patch_size", 2),
            Merge = merge,
            Window = window / merge / patch,
            FullLayers = vision.Has("fullatt_block_indexes") ? vision.Wholes("fullatt_block_indexes").ToHashSet() : DefaultFullLayers,
            Theta = vision.Find("rope_parameters")?.Number("rope_theta", 10000) ?? 10000,
        };
        vision.Check(config.Width % (4 * config.Heads) == 0, "num_heads must divide the vision tower's hidden_size into multiples of 4.");
        vision.Check(config.Frames is > 0 and <= 16, "temporal_patch_size is out of range.");
        return config;
    }
}
