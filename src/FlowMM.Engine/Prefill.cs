namespace FlowMM.Engine;

/// <summary>
/// Walks the runs that a sequence still has to compute. A chunk never crosses a run's end, and ends at a multiple of the
/// chunk's size within it, so that a replay feeds a prompt in the same chunks as the first time and every run is merged where it was merged then.
/// </summary>
internal sealed class Prefill
{
    private readonly IReadOnlyList<TokenRun> _runs;
    private readonly int _prompt;
    private int _run;
    private int _offset;

    /// <param name="runs">History and prompt.</param>
    /// <param name="reused">Tokens at the front that the cache holds already; fewer than all.</param>
    public Prefill(IReadOnlyList<TokenRun> runs, int reused)
    {
        (_runs, _prompt) = (runs, runs.Count - 1);
        _offset = reused;
        while (_offset >= _runs[_run].Ids.Count)
        {
            _offset -= _runs[_run++].Ids.Count;
        }
    }

    public bool Done => _run == _runs.Count;

    /// <summary>True while history is computed again.</summary>
    public bool InHistory => _run < _prompt;

    public TokenRun Run => _runs[_run];

    /// <summary>Index in the run of the next token.</summary>
    public int Offset => _offset;

    /// <summary>Tokens of the run that are still to be computed.</summary>
    public int Remaining => Run.Ids.Count - _offset;

    /// <summary>Length of the next chunk: to the next multiple of <paramref name="size"/> within the run, or to its end.</summary>
    public int Next(int size) => Math.Min(size - (_offset % size), Remaining);

    /// <summary>True when a chunk of this length ends its run.</summary>
    public bool Ends(int length) => _offset + length == Run.Ids.Count;

    public void Advance(int length)
    {
        _offset += length;
        if (_offset == Run.Ids.Count)
        {
            (_run, _offset) = (_run + 1, 0);
        }

        while (!Done && Run.Ids.Count == 0)
        {
            _run++;
        }
    }
}
