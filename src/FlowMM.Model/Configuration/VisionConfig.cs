namespace FlowMM.Model.Configuration;

/// <summary>Sizes of a vision tower.</summary>
internal abstract record VisionConfig
{
    public required int Layers { get; init; }

    public required int Width { get; init; }

    public required int Heads { get; init; }

    public required int MlpWidth { get; init; }

    public required int PatchSize { get; init; }

    /// <summary>The tower in words.</summary>
    public abstract string Kind { get; }

    /// <summary>Rows that the decoder reads for a picture, or a tile of one; 0 when they depend on its size.</summary>
    public abstract int Tokens { get; }

    /// <summary>Side of a picture or tile, pixels; 0 when any size is taken.</summary>
    public abstract int Side { get; }

    /// <summary>A number, or a list of two that are equal: sizes of squares.</summary>
    protected static int Square(JsonFields fields, string key)
    {
        int[] sides = [.. fields.Wholes(key)];
        fields.Check(sides.Length is 1 or 2 && sides[0] == sides[^1] && sides[0] is > 0 and <= 1 << 16, $"key '{key}' must be one positive size of a square.");
        return sides[0];
    }

    /// <summary>The output of which layer is used: -1 counts from the last.</summary>
    protected static int FeatureLayerOf(JsonFields fields, string key, int layer, int layers)
    {
        fields.Check(layer >= -layers && layer <= layers, $"{key} {layer} is outside the {layers} layers.");
        return layer < 0 ? layers + 1 + layer : layer;
    }

    protected static void CheckSizes(JsonFields fields, VisionConfig config)
    {
        fields.Check(config.Width % config.Heads == 0, "num_attention_heads must divide the vision tower's hidden_size.");
        fields.Check(config.Side % config.PatchSize == 0, "patch_size must divide image_size.");
    }
}
