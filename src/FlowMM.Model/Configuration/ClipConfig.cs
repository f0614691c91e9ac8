namespace FlowMM.Model.Configuration;

/// <summary>Sizes of a CLIP tower.</summary>
internal sealed record ClipConfig : VisionConfig
{
    public required int ImageSize { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>How many layers run: their output is projected.</summary>
    public required int FeatureLayer { get; init; }

    /// <summary>True when the class token is dropped (strategy default).</summary>
    public required bool DropClass { get; init; }

    /// <summary>Biases of LLaVA's projector.</summary>
    public bool ProjectorBias { get; init; } = true;

    /// <summary>Rows after the projector, where it changes their number.</summary>
    public int? ProjectedTokens { get; init; }

    public int Patches => ImageSize / PatchSize * (ImageSize / PatchSize);

    public override string Kind => $"CLIP of {FeatureLayer} layers, {ImageSize} x {ImageSize} pixels";

    public override int Tokens => ProjectedTokens ?? (Patches + (DropClass ? 0 : 1));

    public override int Side => ImageSize;

    /// <param name="vision">vision_config.</param>
    /// <param name="layerKey">Name of the setting, for errors.</param>
    /// <param name="layer">Which hidden state is projected: -1 the last layer's output.</param>
    /// <param name="dropClass">Whether the class token is dropped.</param>
    /// <exception cref="CheckpointException">A field is missing, wrong, or asks for what is not supported.</exception>
    public static ClipConfig Read(JsonFields vision, string layerKey, int layer, bool dropClass)
    {
        string type = vision.Text("model_type", "clip_vision_model"), activation = vision.Text("hidden_act", "quick_gelu");
        vision.Check(type == "clip_vision_model", $"vision model_type '{type}' is not supported.");
        vision.Check(activation == "quick_gelu", $"vision hidden_act '{activation}' is not supported.");
        int layers = vision.Positive("num_hidden_layers");
        ClipConfig config = new()
        {
            Layers = layers,
            Width = vision.Positive("hidden_size"),
            Heads = vision.Positive("num_attention_heads"),
            MlpWidth = vision.Positive("intermediate_size"),
            ImageSize = Square(vision, "image_size"),
            PatchSize = Square(vision, "patch_size"),
            NormEpsilon = vision.Number("layer_norm_eps", 1e-5),
            FeatureLayer = FeatureLayerOf(vision, layerKey, layer, layers),
            DropClass = dropClass,
        };
        CheckSizes(vision, config);
        return config;
    }
}
