namespace FlowMM.Model.Configuration;

/// <summary>Sizes of the text decoder, as config.json's text part says.</summary>
internal sealed record DecoderConfig
{
    public required int Layers { get; init; }

    public required int Width { get; init; }

    public required int QueryHeads { get; init; }

    public required int KvHeads { get; init; }

    public required int HeadDim { get; init; }

    public required int MlpWidth { get; init; }

    public required int Vocabulary { get; init; }

    public required int MaxPositions { get; init; }

    public required double NormEpsilon { get; init; }

    public required RopeConfig Rope { get; init; }

    public required bool TiedEmbeddings { get; init; }

    /// <summary>Biases on q, k and v (Qwen2 always; Llama by attention_bias).</summary>
    public required bool QkvBias { get; init; }

    /// <summary>Bias on o (Llama by attention_bias).</summary>
    public required bool OutputBias { get; init; }

    /// <summary>RMS norm over head_dim on q and k before RoPE (Qwen3).</summary>
    public required bool QkNorm { get; init; }
}

/// <summary>Rotary position embedding.</summary>
internal sealed record RopeConfig
{
    public required double Theta { get; init; }

    /// <summary>default, linear or llama3.</summary>
    public required string Type { get; init; }

    public double Factor { get; init; } = 1;

    public double LowFrequency { get; init; } = 1;

    public double HighFrequency { get; init; } = 4;

    public double OriginalPositions { get; init; } = 8192;
}

/// <summary>Sizes of a CLIP vision tower and of LLaVA's projector.</summary>
internal sealed record VisionConfig
{
    public required int Layers { get; init; }

    public required int Width { get; init; }

    public required int Heads { get; init; }

    public required int MlpWidth { get; init; }

    public required int ImageSize { get; init; }

    public required int PatchSize { get; init; }

    public required double NormEpsilon { get; init; }

    /// <summary>Which hidden state is projected: -1 the last layer's output, -2 the one before.</summary>
    public required int FeatureLayer { get; init; }

    /// <summary>True when the class token is dropped (strategy default).</summary>
    public required bool DropClass { get; init; }

    public required bool ProjectorBias { get; init; }

    public int Patches => ImageSize / PatchSize * (ImageSize / PatchSize);

    public int Tokens => Patches + (DropClass ? 0 : 1);
}
