using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// <see cref="Sampler"/> for many rows where their logits are: only the ids come to the host. The same filters in the same order, the same number in
/// [0, 1) from seed and position, in f64; so a token is the one that the sampler on the host chooses. Legend: n rows, V vocabulary.
/// </summary>
internal static class TensorSampler
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar Zero = 0.0;
    private static readonly Scalar Whole = 1.0;

    /// <summary>True for plans that need nothing but the logits: no penalty on what was said, no log-probabilities to tell.</summary>
    public static bool Takes(SamplingPlan plan) => plan.RepetitionPenalty == 1 && plan.Logprobs is null;

    /// <summary>Chooses a token for each row.</summary>
    /// <param name="logits">[n, V] f32; not changed.</param>
    /// <param name="rows">Plan and position of each row; <see cref="Takes"/> holds for all.</param>
    public static int[] Choose(Tensor logits, IReadOnlyList<(SamplingPlan Plan, long Position)> rows)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = logits.argmax(1); // [n]
        if (rows.Any(r => r.Plan.Temperature > 0))
        {
            double[] settings = [.. rows.SelectMany(r => Settings(r.Plan, r.Position, logits.shape[1]))];
            Tensor asked = tensor(settings, [rows.Count, 5, 1], device: logits.device); // [n, 5, 1]
            ids = Draw(logits, asked).where(asked.select(1, 0).squeeze(1).gt(Zero), ids);
        }

        return [.. ids.to(CPU).data<long>().ToArray().Select(id => (int)id)];
    }

    /// <summary>Temperature (0: greedy), candidates, nucleus mass (2: all), least relative probability, number in [0, 1).</summary>
    private static double[] Settings(SamplingPlan plan, long position, long vocabulary) =>
    [
        plan.Temperature,
        plan.TopK > 0 ? plan.TopK : vocabulary,
        plan.TopP < 1 ? plan.TopP : 2,
        plan.MinP,
        Sampler.Uniform(plan.Seed, position),
    ];

    /// <summary>Rows that are greedy give any id. [n, V] -> [n].</summary>
    private static Tensor Draw(Tensor logits, Tensor asked)
    {
        (Tensor sorted, Tensor order) = logits.sort(-1, descending: true, stable: true); // [n, V], of equal ones the lower id first
        Tensor[] settings = [.. Enumerable.Range(0, 5).Select(i => asked.select(1, i))]; // [n, 1] each
        Tensor temperature = settings[0].where(settings[0].gt(Zero), ones_like(settings[0]));
        Tensor wide = sorted.to(float64);
        Tensor weights = wide.sub_(wide.narrow(1, 0, 1).clone()).div_(temperature).exp_(); // [n, V]
        using Scalar first = 0, end = logits.shape[1];
        Tensor rank = arange(first, end, int64, logits.device); // [V]
        weights.mul_(rank.lt(settings[1]));
        Tensor mass = weights.cumsum(1), before = zeros_like(mass); // [n, V]
        before.narrow(1, 1, mass.shape[1] - 1).copy_(mass.narrow(1, 0, mass.shape[1] - 1));
        Tensor total = mass.narrow(1, mass.shape[1] - 1, 1); // [n, 1]
        Tensor kept = before.lt(settings[2].mul(total)).logical_and(weights.ge(settings[3])).logical_and(rank.lt(settings[1])); // the first weighs 1
        kept.narrow(1, 0, 1).fill_(Whole);
        Tensor below = weights.mul_(kept).cumsum(1); // [n, V]
        Tensor target = settings[4].mul(below.narrow(1, below.shape[1] - 1, 1)); // [n, 1]
        Tensor chosen = minimum(below.le(target).sum(dim: 1), kept.sum(dim: 1).sub(ones(1, int64, logits.device))); // [n]
        return order.gather(1, chosen.unsqueeze(1)).squeeze(1);
    }
}
