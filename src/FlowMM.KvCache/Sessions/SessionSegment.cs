namespace FlowMM.KvCache;

/// <summary>A run of tokens whose entries are final until a cap compresses them again.</summary>
public sealed record SessionSegment
{
    /// <summary>Logical index of its first token.</summary>
    public required int Position { get; init; }

    /// <summary>Tokens that it stands for, dropped ones included.</summary>
    public required int Tokens { get; init; }

    /// <summary>[layers] entries per KV head that it holds now.</summary>
    public required IReadOnlyList<int> Lengths { get; init; }

    /// <summary>[layers] whether the layer merged across modalities the first time; false where nothing was measured.</summary>
    public required IReadOnlyList<bool> Inter { get; init; }
}
