namespace FlowMM.Model.Configuration;

/// <summary>Sizes of an InternViT tower and of the pixel shuffle behind it.</summary>
internal sealed record InternVitConfig : VisionConfig
{
    public required int ImageSize { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>RMS norms before attention and MLP instead of layer norms.</summary>
    public required bool RmsNorm { get; init; }

    /// <summary>RMS norm over the full width on q and k.</summary>
    public required bool QkNorm { get; init; }

    public required bool QkvBias { get; init; }

    /// <summary>A layer norm behind the last layer.</summary>
    public required bool FinalNorm { get; init; }

    /// <summary>How many layers run.</summary>
    public required int FeatureLayer { get; init; }

    /// <summary>Side of the squares of patches that become one token.</summary>
    public required int Merge { get; init; }

    public int Patches => ImageSize / PatchSize * (ImageSize / PatchSize);

    public override string Kind => $"InternViT of {FeatureLayer} layers, tiles of {ImageSize} x {ImageSize} pixels";

    public override int Tokens => Patches / (Merge * Merge);

    public override int Side => ImageSize;

    /// <param name="root">config.json.</param>
    /// <param name="original">True for OpenGVLab's own spelling of the settings.</param>
    /// <exception cref="CheckpointException">A field is missing, wrong, or asks for what is not supported.</exception>
    public static InternVitConfig Read(JsonFields root, bool original)
    {
        JsonFields vision = root.Find("vision_config") ?? throw root.Wrong("vision_config is missing.");
        string activation = vision.Text("hidden_act", "gelu"), norm = vision.Text("norm_type", "layer_norm"), key = original ? "select_layer" : "vision_feature_layer";
        vision.Check(activation == "gelu", $"vision hidden_act '{activation}' is not supported.");
        vision.Check(norm is "layer_norm" or "rms_norm", $"vision norm_type '{norm}' is not supported.");
        vision.Check(vision.Flag("use_absolute_position_embeddings", true), "a tower without position embeddings is not supported.");
        double ratio = root.Number("downsample_ratio", 0.5);
        int layers = vision.Positive("num_hidden_layers"), merge = ratio is > 0 and <= 1 ? (int)Math.Round(1 / ratio) : 0;
        root.Check(merge > 0 && Math.Abs((1 / ratio) - merge) < 1e-6, $"downsample_ratio {ratio} is not one over a whole number.");
        InternVitConfig config = new()
        {
            Layers = layers,
            Width = vision.Positive("hidden_size"),
            Heads = vision.Positive("num_attention_heads"),
            MlpWidth = vision.Positive("intermediate_size"),
            ImageSize = original && root.Whole("force_image_size", 0) > 0 ? root.Positive("force_image_size") : Square(vision, "image_size"),
            PatchSize = Square(vision, "patch_size"),
            NormEpsilon = vision.Number("layer_norm_eps", 1e-6),
            RmsNorm = norm == "rms_norm",
            QkNorm = vision.Flag(original ? "qk_normalization" : "use_qk_norm", false),
            QkvBias = vision.Flag(original ? "qkv_bias" : "attention_bias", original),
            FinalNorm = !original && !vision.Flag("use_mean_pooling", true),
            FeatureLayer = FeatureLayerOf(root, key, root.Whole(key, -1), layers),
            Merge = merge,
        };
        CheckSizes(vision, config);
        root.Check(config.ImageSize / config.PatchSize % merge == 0, "downsample_ratio must divide the tower's rows of patches.");
        return config;
    }
}
