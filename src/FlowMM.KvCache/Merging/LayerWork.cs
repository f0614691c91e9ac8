using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>One compression of one layer's segment while it goes on: the heads' rows, and their entries after the rounds so far.</summary>
internal sealed class LayerWork : IDisposable
{
    // A question that repeats a row's words counts as much as one that does not. Measured: 0.5, 1, 2 and 4.
    private const double AheadWeight = 1;

    private readonly LayerSegment _segment;
    private readonly MergingPlanOptions _options;
    private readonly IHeadRows[] _rows;
    private readonly HeadEntries[] _heads;
    private readonly int _length;
    private readonly bool _tensors;
    private readonly double[][] _rank;
    private readonly double[][] _weight;
    private readonly double[][]? _ahead;
    private int _round;

    /// <summary>Copies the segment to f32 and measures it.</summary>
    internal LayerWork(LayerSegment segment, MergingPlanOptions options, Evidence needs, (Workspace Workspace, bool Tensors) means)
    {
        (_segment, _options) = (segment, options);
        int groups = (int)segment.Keys.shape[0];
        _length = (int)segment.Keys.shape[1];
        int group = (int)(segment.Queries.Proxies.shape[0] / groups);
        _heads = [.. Enumerable.Range(0, groups).Select(Entries)];
        _tensors = means.Tensors || segment.Keys.device_type != DeviceType.CPU;
        _rows =
        [
            .. _heads.Select((head, h) => _tensors
                ? (IHeadRows)new TensorRows(segment.Queries, (h, groups), head.Keys)
                : new CpuRows(means.Workspace, segment.Queries, (h, groups), head.Keys)),
        ];
        HeadEvidence[] looks = Look(needs, group, means.Workspace);
        _ahead = needs.HasFlag(Evidence.OutputChange) && options.Ahead > 0 ? segment.Queries.Ahead?.Squares.ToArray() : null;
        (_rank, _weight) = Rank(looks, needs);
        Statistics = Summary(looks);
    }

    /// <summary>What was measured.</summary>
    internal LayerStatistics Statistics { get; }

    /// <summary>Milliseconds so far.</summary>
    internal Laps Clock { get; } = new();

    /// <summary>Ranks what is left (the first round uses the statistics), plans and merges down to <paramref name="entries"/>.</summary>
    internal void Round(IMergePolicy policy, int entries)
    {
        if (entries >= _heads[0].Length)
        {
            return;
        }

        int least = _heads.Max(head => policy.LeastKept(head.Modality, entries));
        if (least >= _heads[0].Length)
        {
            return;
        }

        long start = Stopwatch.GetTimestamp();
        for (int h = 0; h < _heads.Length && _round > 0; h++)
        {
            (_rank[h], _weight[h]) = Change(h);
        }

        long ranked = Stopwatch.GetTimestamp();
        HeadPlan[] plans = new HeadPlan[_heads.Length];
        HostLoop.For(plans.Length, h =>
        {
            using KeyGeometry geometry = new(_heads[h].Keys, _tensors);
            plans[h] = policy.Plan(View(h, least, geometry), entries, _options);
        });
        long planned = Stopwatch.GetTimestamp();
        HostLoop.For(plans.Length, h => Merge(h, plans[h]));

        Clock.Rank += Stopwatch.GetElapsedTime(start, ranked).TotalMilliseconds;
        Clock.Plan += Stopwatch.GetElapsedTime(ranked, planned).TotalMilliseconds;
        Clock.Merge += Stopwatch.GetElapsedTime(planned).TotalMilliseconds;
        _round++;
    }

    /// <summary>The entries that are left.</summary>
    internal CompressedLayer Result()
    {
        using DisposeScope scope = NewDisposeScope();
        bool same = _round == 0;
        return new CompressedLayer
        {
            Keys = same ? null : Stack(_heads.Select(h => h.Keys), _segment.Keys),
            Values = same ? null : Stack(_heads.Select(h => h.Values), _segment.Values),
            Beta = [.. _heads.Select(h => h.Beta)],
            Counts = [.. _heads.Select(h => h.Counts)],
            Modality = [.. _heads.Select(h => h.Modality)],
            Kept = [.. _heads.Select(h => h.Kept)],
            Assign = [.. _heads.Select(h => h.Assign)],
            Sensitive = [.. _heads.Select(h => h.Sensitive)],
            Tau = [.. _heads.Select(h => h.Tau)],
            DroppedMass = [.. _heads.Select(h => h.DroppedMass)],
            Statistics = Statistics,
            Time = new CompressionTime(Clock.Observe + (_ahead is null ? 0 : _segment.Queries.Ahead!.Milliseconds), Clock.Rank, Clock.Plan, Clock.Merge),
        };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable owned in _rows.Concat<IDisposable>(_heads))
        {
            owned.Dispose();
        }
    }

    private static Tensor Stack(IEnumerable<Tensor> heads, Tensor like)
    {
        using DisposeScope scope = NewDisposeScope();
        return stack(heads.ToArray()).to(like.dtype).DetachFromDisposeScope(); // [G, B, D]
    }

    private HeadEntries Entries(int head)
    {
        using DisposeScope scope = NewDisposeScope();
        int[] every = [.. Enumerable.Range(0, _length)];
        return new HeadEntries
        {
            Keys = _segment.Keys[head].to(float32).contiguous().DetachFromDisposeScope(),
            Values = _segment.Values[head].to(float32).contiguous().DetachFromDisposeScope(),
            Beta = _segment.Beta?[head] ?? new double[_length],
            Counts = _segment.Counts?[head] ?? [.. Enumerable.Repeat(1, _length)],
            Modality = _segment.Modality[head],
            Kept = every,
            Assign = every,
            Sensitive = new bool[_length],
            Tau = double.NegativeInfinity,
            DroppedMass = 0,
        };
    }

    private HeadEvidence[] Look(Evidence needs, int group, Workspace workspace)
    {
        long elements = needs.HasFlag(Evidence.OutputChange) ? _rows.Sum(r => r.Elements) : 0;
        bool remember = elements <= Workspace.Most;
        workspace.Reset(remember ? elements : 0);

        // Without samples, attention summed over the samples is that of the proxies.
        bool sampled = _segment.Queries.SamplePositions.Length > 0;
        Evidence ask = sampled || !needs.HasFlag(Evidence.Accumulated) ? needs : needs | Evidence.Importance;
        return
        [
            .. _rows.Select((rows, h) => rows.Look(
                new CausalQuestion(ask, _heads[h].Modality, [.. _heads[h].Beta.Select(b => (float)b)], _options.Sinks, group, _segment.Queries.ProxyPositions.Length),
                remember)),
        ];
    }

    private (double[][] Rank, double[][] Weight) Rank(HeadEvidence[] looks, Evidence needs)
    {
        if (needs.HasFlag(Evidence.OutputChange))
        {
            long start = Stopwatch.GetTimestamp();
            (double[] Rank, double[] Weight)[] changes = [.. _rows.Select((_, h) => Change(h))];
            Clock.Rank += Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            return ([.. changes.Select(c => c.Rank)], [.. changes.Select(c => c.Weight)]);
        }

        double[][] importance = [.. looks.Select((look, h) => MergePolicies.Find(_options.Method) is FlowMMPolicy && _options.Importance == ImportanceReading.Seen
            ? Seen(look.Importance)
            : look.Importance)];
        return ([.. importance], [.. importance]);
    }

    /// <summary>What the observed queries would lose without each entry, and the rows shortly before it.</summary>
    private (double[] Rank, double[] Weight) Change(int h)
    {
        (double[] rank, double[] weight) = _rows[h].OutputChange(_heads[h].Values, _heads[h].Beta);
        return (_ahead is null ? rank : [.. rank.Select((r, i) => Math.Sqrt((r * r) + (AheadWeight * _ahead[h][i])))], weight);
    }

    /// <summary>Mean over those proxies that see the key: the last key is seen by one of w'.</summary>
    private double[] Seen(double[] importance)
    {
        int[] at = _segment.Queries.ProxyPositions;
        return [.. importance.Select((value, key) => value * at.Length / Math.Max(1, at.Count(p => p >= key)))];
    }

    private LayerStatistics Summary(HeadEvidence[] looks)
    {
        FlowSums sums = new();
        foreach (HeadEvidence look in looks)
        {
            sums.Add(look.Flow);
        }

        bool sampled = _segment.Queries.SamplePositions.Length > 0;
        byte[] first = _segment.Modality[0];
        bool mixed = _segment.Modality.Any(m => m.Any(x => x != first[0]));
        FlowStatistics flow = sampled
            ? new FlowStatistics(sums.Raw, sums.SinkFree, FlowStatistics.ChanceOf(_segment.Queries.SamplePositions, first, _options.Sinks))
            : FlowStatistics.None;
        return new LayerStatistics
        {
            Flow = flow,
            Inter = sampled ? flow.IsInter(_options, mixed) : mixed && _options.Strategy == FlowStrategy.Inter,
            Importance = [.. looks.Select(l => l.Importance)],
            Accumulated = [.. looks.Select(l => sampled ? l.Accumulated : l.Importance)],
            Rank = [.. _rank],
            Weight = [.. _weight],
        };
    }

    private void Merge(int h, HeadPlan plan)
    {
        HeadEntries merged = ClusterMerge.Apply(_heads[h], plan, _weight[h]);
        bool sameKeys = plan.Mode is not (MergeMode.PivotMean or MergeMode.SimilarityMean or MergeMode.Gaussian);
        _rows[h].Retain(HeadPlan.Where(plan.Kept), merged.Keys, sameKeys);
        _heads[h].Dispose();
        _heads[h] = merged;
        if (_ahead is not null)
        {
            // Rows that have passed are not asked again: an entry is to them what its members were.
            double[] sums = new double[plan.Assign.Length];
            for (int i = 0; i < sums.Length; i++)
            {
                if (plan.Assign[i] is >= 0 and int to)
                {
                    sums[to] += _ahead[h][i];
                }
            }

            _ahead[h] = [.. HeadPlan.Where(plan.Kept).Select(i => sums[i])];
        }
    }

    private HeadView View(int h, int least, KeyGeometry geometry) => new()
    {
        Rank = _rank[h],
        Importance = _round == 0 ? Statistics.Importance[h] : [],
        Accumulated = _round == 0 ? Statistics.Accumulated[h] : [],
        Modality = _heads[h].Modality,
        Inter = Statistics.Inter,
        First = _segment.First,
        ProtectTail = _segment.ProtectTail,
        Keys = geometry,
        LeastKept = least,
    };

    /// <summary>Milliseconds by step.</summary>
    internal sealed class Laps
    {
        internal double Observe { get; set; }

        internal double Rank { get; set; }

        internal double Plan { get; set; }

        internal double Merge { get; set; }
    }
}
