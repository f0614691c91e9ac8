namespace FlowMM.Engine;

/// <summary>What one step computes: a token for each decoding sequence, and at most one chunk of prefill beside them.</summary>
/// <param name="Decoding">Sequences that get one more token.</param>
/// <param name="Prefilling">The sequence that is prefilled, or null.</param>
internal sealed record Batch(IReadOnlyList<Sequence> Decoding, Sequence? Prefilling);
