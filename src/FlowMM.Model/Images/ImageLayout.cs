namespace FlowMM.Model;

/// <summary>What preprocessing makes of a picture: known from its width and height alone, so that a prompt can be written before pixels are decoded.</summary>
public sealed record ImageLayout
{
    /// <summary>
    /// Shape of the pixels: [frames, 3, height, width] for towers of a fixed size (one frame, or tiles row by row and the thumbnail last),
    /// [patches, channels * frames * height * width of a patch] for towers of any size.
    /// </summary>
    public required IReadOnlyList<long> Shape { get; init; }

    /// <summary>Visual tokens that the model reads for it.</summary>
    public required int Tokens { get; init; }

    /// <summary>The patches' places; null where positions count up token by token.</summary>
    public ImageGrid? Grid { get; init; }
}
