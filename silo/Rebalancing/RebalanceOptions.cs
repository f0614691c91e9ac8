using System.ComponentModel.DataAnnotations;

namespace FlowMM.Silo.Rebalancing;

/// <summary>Whether sessions move from a full node to one with much more room, such as one that has just joined. Bound from <c>FlowMM:Rebalance</c>.</summary>
public sealed class RebalanceOptions
{
    /// <summary>Whether they do. Default false.</summary>
    public bool Enabled { get; set; }

    /// <summary>Most sessions that leave this node in a minute, evenly spaced, 1 to 600. Default 30.</summary>
    [Range(1, 600, ErrorMessage = "FlowMM:Rebalance:MaxPerMinute must be 1 to 600.")]
    public int MaxPerMinute { get; set; } = 30;

    /// <summary>
    /// How much more of its cache memory the fullest node must have in use than the emptiest before sessions move, as a share, 0.01 to 1. They move until half of
    /// it is left. Default 0.2.
    /// </summary>
    [Range(0.01, 1, ErrorMessage = "FlowMM:Rebalance:Threshold must be 0.01 to 1.")]
    public double Threshold { get; set; } = 0.2;

    /// <summary>Which sessions move first: <c>idlest</c> (default) or <c>hottest</c>.</summary>
    [EnumDataType(typeof(RebalancePreference), ErrorMessage = "FlowMM:Rebalance:Prefer must be idlest or hottest.")]
    public RebalancePreference Prefer { get; set; } = RebalancePreference.Idlest;

    /// <summary>How long a session stays on a node that it came to, and one whose move was refused where it is, 1 second to 1 day. Default 1 minute.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00", ErrorMessage = "FlowMM:Rebalance:Rest must be 1 second to 1 day.")]
    public TimeSpan Rest { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>Time between two moves.</summary>
    internal TimeSpan Spacing => TimeSpan.FromMinutes(1) / MaxPerMinute;
}
