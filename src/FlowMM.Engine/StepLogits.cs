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
    private readonly (SamplingPlan Plan, long Position)[] _plans;
    private readonly int[] _there;
    private int[]? _ids;

    /// <param name="logits">[rows, V] f32, of the current dispose scope.</param>
    /// <param name="sequences">Their owners; a row each when <paramref name="there"/>, and their caches hold what it follows.</param>
    /// <param name="there">True: tokens that need nothing but logits are chosen where these are.</param>
    public StepLogits(Tensor logits, IReadOnlyList<Sequence> sequences, bool there)
    {
        _logits = logits;
        _there = [.. Enumerable.Range(0, sequences.Count).Where(i => there && TensorSampler.Takes(sequences[i].Input.Sampling))];
        _plans = [.. _there.Select(i => (sequences[i].Input.Sampling, (long)sequences[i].Resident!.Cache.LogicalLength))];
    }

    /// <summary>The token that follows a row.</summary>
    /// <param name="sequence">Whose row it is.</param>
    /// <param name="row">The row.</param>
    /// <param name="position">The token's logical index.</param>
    public int Choose(Sequence sequence, int row, int position)
    {
        int place = Array.IndexOf(_there, row);
        return place < 0 ? sequence.Choose(Row(row), position) : sequence.Chosen((_ids ??= Ids())[place]);
    }

    /// <summary>A row on the host, [V], to be overwritten.</summary>
    private Span<float> Row(int row) => MemoryMarshal.Cast<byte, float>(_logits.narrow(0, row, 1).cpu().bytes);

    private int[] Ids() => TensorSampler.Choose(
        _there.Length == _logits.shape[0] ? _logits : _logits.index_select(0, tensor(_there, device: _logits.device)), _plans);
}
