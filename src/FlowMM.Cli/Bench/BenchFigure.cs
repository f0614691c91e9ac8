namespace FlowMM.Cli.Bench;

/// <summary>One measured figure.</summary>
/// <param name="Kind">prefill or decode.</param>
/// <param name="Context">Tokens in the cache before.</param>
/// <param name="Batch">Sequences side by side.</param>
/// <param name="Tokens">Tokens of one repetition, all sequences.</param>
/// <param name="Seconds">Of the median repetition.</param>
/// <param name="BytesRead">Weights and cache entries that the repetition had to read; 0 for prefill, which is bound by arithmetic.</param>
internal sealed record BenchFigure(string Kind, int Context, int Batch, int Tokens, double Seconds, double BytesRead)
{
    public double TokensPerSecond => Tokens / Seconds;

    /// <summary>Bytes a second, in 10^9.</summary>
    public double GigabytesPerSecond => BytesRead / Seconds / 1e9;
}
