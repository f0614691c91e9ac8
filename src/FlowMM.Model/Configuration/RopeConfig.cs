namespace FlowMM.Model.Configuration;

/// <summary>Rotary position embedding.</summary>
internal sealed record RopeConfig
{
    public required double Theta { get; init; }

    /// <summary>default, linear, dynamic, yarn or llama3.</summary>
    public required string Type { get; init; }

    public double Factor { get; init; } = 1;

    public double LowFrequency { get; init; } = 1;

    public double HighFrequency { get; init; } = 4;

    /// <summary>Positions that the model was trained on before scaling.</summary>
    public double OriginalPositions { get; init; } = 8192;

    /// <summary>YaRN: turns over the original positions above which a dimension is kept.</summary>
    public double BetaFast { get; init; } = 32;

    /// <summary>YaRN: turns below which a dimension is divided by the factor.</summary>
    public double BetaSlow { get; init; } = 1;

    /// <summary>YaRN: whether the two bounds are rounded to whole dimensions.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>What cosines and sines are multiplied by.</summary>
    public double Attention { get; init; } = 1;

    /// <summary>M-RoPE: how many of the D/2 frequencies turn with time, row and column; null when all turn with one position.</summary>
    public IReadOnlyList<int>? Sections { get; init; }

    /// <param name="text">The text part of config.json: rope_parameters, or rope_theta and rope_scaling.</param>
    /// <param name="headDim">D.</param>
    /// <param name="positions">max_position_embeddings.</param>
    /// <exception cref="CheckpointException">A field is wrong or asks for what is not supported.</exception>
    public static RopeConfig Read(JsonFields text, int headDim, int positions)
    {
        double theta = text.Number("rope_theta", 10000);
        JsonFields rope = text.Find("rope_parameters") ?? text.Find("rope_scaling") ?? JsonFields.None(text);
        string type = rope.Text("rope_type", rope.Text("type", "default"));
        RopeConfig config = new()
        {
            Theta = rope.Number("rope_theta", theta),
            Type = type == "mrope" ? "default" : type,
            Factor = rope.Number("factor", 1),
            LowFrequency = rope.Number("low_freq_factor", 1),
            HighFrequency = rope.Number("high_freq_factor", 4),
            OriginalPositions = type == "dynamic" ? positions : rope.Number("original_max_position_embeddings", type == "llama3" ? 8192 : positions),
            BetaFast = rope.Number("beta_fast", 32),
            BetaSlow = rope.Number("beta_slow", 1),
            Truncate = rope.Flag("truncate", true),
            Attention = type == "yarn" ? YarnAttention(rope) : 1,
            Sections = rope.Has("mrope_section") ? [.. rope.Wholes("mrope_section")] : null,
        };
        rope.Check(config.Type is "default" or "linear" or "dynamic" or "yarn" or "llama3", $"rope_type '{type}' is not supported.");
        rope.Check(config.Factor >= (config.Type is "dynamic" or "yarn" ? 1 : 1e-6) && config.Theta > 1, "rope factor and theta must be positive, theta above 1.");
        rope.Check(config.OriginalPositions >= 1 && config.BetaFast > 0 && config.BetaSlow > 0, "original_max_position_embeddings, beta_fast and beta_slow must be positive.");
        rope.Check(config.HighFrequency > config.LowFrequency, "high_freq_factor must be larger than low_freq_factor.");
        rope.Check(rope.Number("partial_rotary_factor", text.Number("partial_rotary_factor", 1)) == 1, "partial_rotary_factor is not supported.");
        rope.Check(
            config.Sections is null || (config.Sections.Count == 3 && config.Sections.All(s => s > 0) && config.Sections.Sum() * 2 == headDim),
            $"mrope_section must be three positive numbers that add up to half of head_dim {headDim}.");
        return config;
    }

    /// <summary>Positions that scaling makes usable.</summary>
    /// <param name="positions">max_position_embeddings.</param>
    public int Reach(int positions) => Type switch
    {
        "yarn" => (int)Math.Min(Math.Max(OriginalPositions * Factor, positions), int.MaxValue / 2),
        "dynamic" => (int)Math.Min(positions * Factor, int.MaxValue / 2),
        _ => positions,
    };

    private static double YarnAttention(JsonFields rope)
    {
        double factor = rope.Number("factor", 1), all = rope.Number("mscale_all_dim", 0), mscale = rope.Number("mscale", 0);
        double otherwise = all != 0 && mscale != 0 ? Scale(mscale) / Scale(all) : Scale(1);
        return rope.Number("attention_factor", otherwise);

        double Scale(double weight) => factor <= 1 ? 1 : (0.1 * weight * Math.Log(factor)) + 1;
    }
}
