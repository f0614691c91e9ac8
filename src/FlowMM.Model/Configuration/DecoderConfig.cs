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

    /// <summary>Biases of the MLP (Llama by mlp_bias).</summary>
    public bool MlpBias { get; init; }

    /// <param name="text">The text part of config.json.</param>
    /// <param name="root">The whole of it.</param>
    /// <param name="type">llama, qwen2 or qwen3: what no field says goes by it.</param>
    /// <exception cref="CheckpointException">A field is missing, wrong, or asks for what is not supported.</exception>
    public static DecoderConfig Read(JsonFields text, JsonFields root, string type)
    {
        int width = text.Positive("hidden_size"), heads = text.Positive("num_attention_heads"), headDim = text.Whole("head_dim", width / heads);
        int most = Math.Max(1, text.Whole("max_position_embeddings", 2048));
        bool bias = text.Flag("attention_bias", false);
        text.Check(headDim is > 0 and <= 1024 && headDim % 2 == 0, "head_dim must be even and at most 1024.");
        RopeConfig rope = RopeConfig.Read(text, headDim, most);
        DecoderConfig config = new()
        {
            Layers = text.Positive("num_hidden_layers"),
            Width = width,
            QueryHeads = heads,
            KvHeads = text.Whole("num_key_value_heads", heads),
            HeadDim = headDim,
            MlpWidth = text.Positive("intermediate_size"),
            Vocabulary = text.Positive("vocab_size"),
            MaxPositions = rope.Reach(most),
            NormEpsilon = text.Number("rms_norm_eps", 1e-6),
            Rope = rope,
            TiedEmbeddings = root.Flag("tie_word_embeddings", text.Flag("tie_word_embeddings", false)),
            QkvBias = bias || type == "qwen2",
            OutputBias = bias && type != "qwen2",
            QkNorm = type == "qwen3",
            MlpBias = text.Flag("mlp_bias", false),
        };
        text.Check(config.KvHeads > 0 && config.QueryHeads % config.KvHeads == 0, "num_key_value_heads must divide num_attention_heads.");
        text.Check(!text.Flag("use_sliding_window", false), "use_sliding_window is not supported.");
        text.Check(text.Texts("layer_types").All(t => t == "full_attention"), "layer_types other than full_attention are not supported.");
        string activation = text.Text("hidden_act", "silu");
        text.Check(activation == "silu", $"hidden_act '{activation}' is not supported.");
        return config;
    }
}
