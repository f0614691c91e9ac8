using FlowMM.Model.Configuration;

namespace FlowMM.Model.Layers;

/// <summary>Inverse frequencies of rotary embedding under every kind of scaling, f32 as the reference computes them.</summary>
internal static class RopeFrequencies
{
    /// <summary>D/2 inverse frequencies; for <c>dynamic</c> those of positions that the model was trained on.</summary>
    public static float[] Of(RopeConfig config, int headDim) => config.Type switch
    {
        "linear" => [.. Plain(config.Theta, headDim).Select(f => f / (float)config.Factor)],
        "llama3" => [.. Plain(config.Theta, headDim).Select(f => Llama3(config, f))],
        "yarn" => Yarn(config, headDim),
        _ => Plain(config.Theta, headDim),
    };

    /// <summary>
    /// Dynamic scaling beyond the original positions: theta grows with the length. Every position takes the length that ends with it, as the
    /// reference's token-by-token decoding does, so that the result does not depend on how a prompt is cut into chunks.
    /// </summary>
    public static float[] Dynamic(RopeConfig config, int headDim, int length)
    {
        double stretch = (config.Factor * length / config.OriginalPositions) - (config.Factor - 1);
        return Plain(config.Theta * Math.Pow(stretch, headDim / (headDim - 2.0)), headDim);
    }

    private static float[] Plain(double theta, int headDim) =>
        [.. Enumerable.Range(0, headDim / 2).Select(i => 1f / (float)Math.Pow(theta, 2.0 * i / headDim))];

    /// <summary>Short waves are kept, long ones divided by the factor, those between blended.</summary>
    private static float Llama3(RopeConfig config, float frequency)
    {
        double wave = 2 * Math.PI / frequency;
        double blend = Math.Clamp(
            ((config.OriginalPositions / wave) - config.LowFrequency) / (config.HighFrequency - config.LowFrequency), 0, 1);
        return (float)(((1 - blend) * frequency / config.Factor) + (blend * frequency));
    }

    /// <summary>YaRN (arXiv 2309.00071): dimensions below a first bound are kept, above a second divided, between them blended.</summary>
    private static float[] Yarn(RopeConfig config, int headDim)
    {
        double first = Dimension(config.BetaFast), last = Dimension(config.BetaSlow);
        (first, last) = config.Truncate ? (Math.Floor(first), Math.Ceiling(last)) : (first, last);
        (first, last) = (Math.Max(first, 0), Math.Min(last, headDim - 1));
        last = first == last ? last + 0.001 : last;
        return [.. Plain(config.Theta, headDim).Select((f, i) =>
        {
            double divided = Math.Clamp((i - first) / (last - first), 0, 1);
            return (float)((f / config.Factor * divided) + (f * (1 - divided)));
        })];

        double Dimension(double turns) =>
            headDim * Math.Log(config.OriginalPositions / (turns * 2 * Math.PI)) / (2 * Math.Log(config.Theta));
    }
}
