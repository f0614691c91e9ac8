namespace FlowMM.Engine;

/// <summary>Who goes first: higher priority, then who came first.</summary>
internal sealed class Precedence : IComparer<Sequence>
{
    public static readonly Precedence Order = new();

    public int Compare(Sequence? x, Sequence? y) => (-x!.Input.Priority, x.Number).CompareTo((-y!.Input.Priority, y.Number));
}
