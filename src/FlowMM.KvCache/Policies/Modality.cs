namespace FlowMM.KvCache;

/// <summary>The kinds of tokens.</summary>
public static class Modality
{
    /// <summary>A token of text.</summary>
    public const byte Text = 0;

    /// <summary>A token that carries an image or video feature.</summary>
    public const byte Visual = 1;

    /// <summary>True when tokens of both kinds are present.</summary>
    /// <param name="modality">One value a token.</param>
    public static bool Mixed(ReadOnlySpan<byte> modality) => modality.Contains(Text) && modality.Contains(Visual);
}
