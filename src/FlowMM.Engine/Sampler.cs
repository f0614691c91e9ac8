using System.Buffers;

namespace FlowMM.Engine;

/// <summary>
/// Chooses tokens as a pure function of (logits, plan, seed, position): a token does not depend on the batch it was computed in, nor
/// on how often the turn was interrupted. Order of the filters: repetition penalty, temperature, top-k, top-p, min-p.
/// </summary>
public sealed class Sampler(SamplingPlan plan)
{
    private readonly HashSet<int> _seen = [];

    /// <summary>Counts tokens for the repetition penalty.</summary>
    /// <param name="ids">The turn's prompt, or the token just chosen.</param>
    public void Saw(IEnumerable<int> ids)
    {
        if (plan.RepetitionPenalty != 1)
        {
            _seen.UnionWith(ids);
        }
    }

    /// <summary>Chooses the token at a position.</summary>
    /// <param name="logits">[V]; overwritten.</param>
    /// <param name="position">Logical index of the token in the conversation.</param>
    public int Choose(Span<float> logits, long position)
    {
        foreach (int id in _seen)
        {
            float penalty = (float)plan.RepetitionPenalty;
            logits[id] = logits[id] > 0 ? logits[id] / penalty : logits[id] * penalty;
        }

        return plan.Temperature == 0 ? Highest(logits) : Draw(logits, position);
    }

    /// <summary>A number in [0, 1) that depends on seed and position alone (SplitMix64 finaliser over both).</summary>
    /// <param name="seed">The turn's seed.</param>
    /// <param name="position">Logical index of the token.</param>
    internal static double Uniform(ulong seed, long position)
    {
        ulong x = Mix(seed + 0x9e3779b97f4a7c15UL) + ((ulong)position * 0xbf58476d1ce4e5b9UL);
        return (Mix(x) >> 11) * (1.0 / (1UL << 53));
    }

    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9UL;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebUL;
        return x ^ (x >> 31);
    }

    private static int Highest(ReadOnlySpan<float> logits)
    {
        int best = 0;
        for (int i = 1; i < logits.Length; i++)
        {
            best = logits[i] > logits[best] ? i : best;
        }

        return best;
    }

    /// <summary>Draws in rented memory: a vocabulary's worth a token would be the most garbage that a step leaves.</summary>
    private int Draw(ReadOnlySpan<float> logits, long position)
    {
        int count = logits.Length;
        float[] keys = ArrayPool<float>.Shared.Rent(count);
        int[] order = ArrayPool<int>.Shared.Rent(count);
        double[] weights = ArrayPool<double>.Shared.Rent(count);
        try
        {
            Order(logits, keys.AsSpan(0, count), order.AsSpan(0, count));
            int candidates = plan.TopK > 0 && plan.TopK < count ? plan.TopK : count;
            return Draw(logits, order.AsSpan(0, candidates), weights.AsSpan(0, candidates), position);
        }
        finally
        {
            ArrayPool<float>.Shared.Return(keys);
            ArrayPool<int>.Shared.Return(order);
            ArrayPool<double>.Shared.Return(weights);
        }
    }

    private int Draw(ReadOnlySpan<float> logits, ReadOnlySpan<int> order, Span<double> weights, long position)
    {
        double top = logits[order[0]], total = 0;
        for (int i = 0; i < order.Length; i++)
        {
            weights[i] = Math.Exp((logits[order[i]] - top) / plan.Temperature);
            total += weights[i];
        }

        int kept = Kept(weights, total);
        double mass = 0;
        for (int i = 0; i < kept; i++)
        {
            mass += weights[i];
        }

        double target = Uniform(plan.Seed, position) * mass;
        for (int i = 0; i < kept; i++)
        {
            target -= weights[i];
            if (target < 0)
            {
                return order[i];
            }
        }

        return order[kept - 1];
    }

    /// <summary>Ids by falling logit, ties by rising id.</summary>
    private static void Order(ReadOnlySpan<float> logits, Span<float> keys, Span<int> order)
    {
        for (int i = 0; i < keys.Length; i++)
        {
            (keys[i], order[i]) = (-logits[i], i);
        }

        keys.Sort(order, Comparer<float>.Default);
        for (int i = 0, run; i < keys.Length; i = run)
        {
            for (run = i + 1; run < keys.Length && keys[run] == keys[i]; run++)
            {
            }

            order[i..run].Sort();
        }
    }

    private int Kept(ReadOnlySpan<double> weights, double total)
    {
        double mass = 0;
        for (int i = 0; i < weights.Length; i++)
        {
            bool enough = mass >= plan.TopP * total && plan.TopP < 1;
            if (i > 0 && (enough || weights[i] < plan.MinP * weights[0]))
            {
                return i;
            }

            mass += weights[i];
        }

        return weights.Length;
    }
}
