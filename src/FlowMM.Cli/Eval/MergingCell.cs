using FlowMM.KvCache;

namespace FlowMM.Cli.Eval;

/// <summary>What one method reached at one budget on one set.</summary>
public sealed class MergingCell
{
    private readonly List<GridAnswer> _answers = [];
    private readonly List<double> _held = [];
    private readonly List<long> _bytes = [];
    private readonly LayerMeans _layers = new();
    private double _merging;
    private double _decoding;
    private int _decoded;

    /// <summary>Mean score, 0 to 1: the share of right answers where answers are right or wrong.</summary>
    public double Accuracy => _answers.Count == 0 ? 0 : _answers.Average(a => a.Score);

    /// <summary>Half the width of the 95 % interval of the mean score (Wald).</summary>
    public double Interval => _answers.Count == 0 ? 0 : 1.96 * Math.Sqrt(_answers.Average(a => (a.Score - Accuracy) * (a.Score - Accuracy)) / _answers.Count);

    /// <summary>Mean score by kind of question, kinds in ordinal order.</summary>
    public IReadOnlyDictionary<string, double> Kinds =>
        new SortedDictionary<string, double>(_answers.GroupBy(a => a.Kind).ToDictionary(g => g.Key, g => g.Average(a => a.Score)), StringComparer.Ordinal);

    /// <summary>Score in all and by kind.</summary>
    public Accuracy Summary => new() { All = Accuracy, Kinds = Kinds, Questions = Questions };

    /// <summary>Share of entries that the method keeps, mean over merged segments.</summary>
    public double Held => _held.Count == 0 ? 1 : _held.Average();

    /// <summary>Bytes that the allocator reserves for the session once it is merged, mean.</summary>
    public double Bytes => _bytes.Count == 0 ? 0 : _bytes.Average();

    /// <summary>Milliseconds of merging a segment, all layers, mean.</summary>
    public double Milliseconds => _held.Count == 0 ? 0 : _merging / _held.Count;

    /// <summary>Milliseconds of decoding a token; questions of one conversation may be decoded side by side.</summary>
    public double MillisecondsPerToken => _decoded == 0 ? 0 : _decoding / _decoded;

    /// <summary>Questions asked.</summary>
    public int Questions => _answers.Count;

    /// <summary>Tokens of the answers.</summary>
    public int Tokens => _answers.Sum(a => a.Ids.Count);

    /// <summary>Answers whose tokens are those of the full cache's answer, each and all.</summary>
    public int Identical { get; private set; }

    /// <summary>Layer by layer, means over merged segments; empty when none was merged.</summary>
    public IReadOnlyList<LayerMean> Layers => _layers.All;

    /// <summary>Counts a segment.</summary>
    /// <param name="outcome">What was done; null when it stayed whole.</param>
    public void Add(CompressionOutcome? outcome)
    {
        _held.Add(outcome?.Layers.Average(l => (double)l.Kept / l.Entries) ?? 1);
        _merging += outcome?.Milliseconds ?? 0;
        _layers.Add(outcome);
    }

    /// <summary>Counts the answers of one session.</summary>
    /// <param name="answers">The answers.</param>
    /// <param name="full">Those of the full cache to the same questions.</param>
    /// <param name="bytes">What the session's cache reserves.</param>
    public void Add(IReadOnlyList<GridAnswer> answers, IReadOnlyList<GridAnswer> full, long bytes)
    {
        _answers.AddRange(answers);
        _bytes.Add(bytes);
        Identical += answers.Zip(full, (a, f) => a.Ids.SequenceEqual(f.Ids)).Count(same => same);
    }

    /// <summary>Counts time.</summary>
    /// <param name="milliseconds">How long.</param>
    /// <param name="tokens">Tokens decoded in it.</param>
    public void AddDecoding(double milliseconds, int tokens)
    {
        _decoding += milliseconds;
        _decoded += tokens;
    }
}

/// <summary>An answer as a grid counts it.</summary>
/// <param name="Kind">What was asked for.</param>
/// <param name="Score">0 to 1.</param>
/// <param name="Ids">Its tokens, the end token included.</param>
public sealed record GridAnswer(string Kind, double Score, IReadOnlyList<int> Ids);
