namespace FlowMM.Silo.Placement;

/// <summary>Whether this node takes sessions. Any thread may use it.</summary>
internal sealed class NodeState
{
    private volatile bool _draining;

    /// <summary>True while the node is being emptied: its next report says so, and nothing new is placed on it.</summary>
    public bool Draining
    {
        get => _draining;
        set => _draining = value;
    }
}
