using System.Text;

namespace FlowMM.Engine;

/// <summary>Finds stop texts in a growing answer, and holds back what may be the start of one.</summary>
public sealed class StopMatcher(IReadOnlyList<string> stops)
{
    private readonly StringBuilder _held = new();

    /// <summary>True once a stop text was found; nothing more is emitted.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Takes more of the answer.</summary>
    /// <param name="text">New text.</param>
    /// <returns>What may be shown now.</returns>
    public string Append(string text)
    {
        if (Stopped || text.Length == 0)
        {
            return "";
        }

        _held.Append(text);
        string held = _held.ToString();
        int found = stops.Select(s => held.IndexOf(s, StringComparison.Ordinal)).Where(i => i >= 0).DefaultIfEmpty(-1).Min();
        Stopped = found >= 0;
        int show = Stopped ? found : held.Length - Possible(held);
        _held.Clear().Append(held, show, Stopped ? 0 : held.Length - show);
        return held[..show];
    }

    /// <summary>What was held back, when the answer ends otherwise.</summary>
    public string Flush()
    {
        string rest = _held.ToString();
        _held.Clear();
        return rest;
    }

    /// <summary>Length of the longest end of <paramref name="text"/> that begins a stop text.</summary>
    private int Possible(string text) => stops
        .SelectMany(s => Enumerable.Range(1, Math.Min(s.Length - 1, text.Length)).Where(n => text.EndsWith(s[..n], StringComparison.Ordinal)))
        .DefaultIfEmpty(0).Max();
}
