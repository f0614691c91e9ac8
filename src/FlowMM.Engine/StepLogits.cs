using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace FlowMM.Engine;

/// <summary>
/// A step's logits, and the tokens that are chosen by them: all at once where the logits are, so that only ids come to the host, or each by its sequence.
/// Nothing is computed before a token is asked for: what fails then is that sequence's failure, and no cache has to be taken back.
/// </summary>
internal sealed class StepLogits
{
    private readonly Tensor _logits;
    private readonly IReadOnlyList<Sequence> _sequences;
    private readonly int[] _there;
    private readonly long[] _positions;
    private int[]? _ids;

    /// <param name="logits">[n, V] f32, of the current dispose scope.</param>
    /// <param name="sequences">One a row; their caches hold what the logits follow.</param>
    /// <param name="there">True: tokens that need nothing but logits are chosen where these are.</param>
    public StepLogits(Tensor logits, IReadOnlyList<Sequence> sequences, bool there)
    {
        (_logits, _sequences) = (logits, sequences);
        _there = [.. Enumerable.Range(0, sequences.Count).Where(i => there && TensorSampler.Takes(sequences[i].Input.Sampling))];
        _positions = [.. _there.Select(i => (long)sequences[i].Resident!.Cache.LogicalLength)];
    }

    /// <summary>The token that follows a row's sequence.</summary>
    public int Choose(int row)
    {
        int place = Array.IndexOf(_there, row);
        return place < 0 ? _sequences[row].Choose(Row(row)) : _sequences[row].Chosen((_ids ??= Ids())[place]);
    }

    /// <summary>A row on the host, [V], to be overwritten.</summary>
    private Span<float> Row(int row) => MemoryMarshal.Cast<byte, float>(_logits.narrow(0, row, 1).cpu().bytes);

    private int[] Ids() => TensorSampler.Choose(
        _there.Length == _sequences.Count ? _logits : _logits.index_select(0, tensor(_there, device: _logits.device)),
        [.. _there.Select((row, i) => (_sequences[row].Input.Sampling, _positions[i]))]);
}
