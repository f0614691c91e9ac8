using FlowMM.KvCache;
using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.Cli.Eval;

/// <summary>What one method at one budget made of the texts.</summary>
public sealed class TextCell
{
    private readonly List<double> _held = [];
    private double _loss;
    private double _divergence;
    private int _tokens;
    private int _right;
    private int _answers;
    private double _milliseconds;

    /// <summary>exp of the mean negative log-likelihood of the scored tokens.</summary>
    public double Perplexity => Math.Exp(_loss / _tokens);

    /// <summary>Mean over scored tokens of the divergence of the full cache's distribution to this one's, nats.</summary>
    public double Divergence => _divergence / _tokens;

    /// <summary>Share of continuations whose scored tokens are all the most probable ones.</summary>
    public double Right => (double)_right / _answers;

    /// <summary>Share of entries that the method keeps, mean over texts.</summary>
    public double Held => _held.Count == 0 ? 1 : _held.Average();

    /// <summary>Milliseconds of merging a text, all layers, mean.</summary>
    public double Milliseconds => _held.Count == 0 ? 0 : _milliseconds / _held.Count;

    /// <summary>Counts a merged segment.</summary>
    /// <param name="outcome">What was done; null when it stayed whole.</param>
    public void Add(CompressionOutcome? outcome)
    {
        _held.Add(outcome?.Layers.Average(l => (double)l.Kept / l.Entries) ?? 1);
        _milliseconds += outcome?.Milliseconds ?? 0;
    }

    /// <summary>Counts a continuation.</summary>
    /// <param name="full">[n, V] log-probabilities with the full cache.</param>
    /// <param name="merged">[n, V] log-probabilities with the merged one.</param>
    /// <param name="targets">[n] the tokens that follow.</param>
    public void Add(Tensor full, Tensor merged, int[] targets)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor right = tensor(targets, dtype: int64); // [n]
        _loss -= merged.gather(1, right.unsqueeze(1)).sum().item<double>();
        _divergence += (full.exp() * (full - merged)).sum().item<double>();
        _right += merged.argmax(1).eq(right).all().item<bool>() ? 1 : 0;
        _tokens += targets.Length;
        _answers++;
    }
}
