namespace FlowMM.Model.Configuration;

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
