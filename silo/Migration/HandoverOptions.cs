using System.ComponentModel.DataAnnotations;

namespace FlowMM.Silo.Migration;

/// <summary>How sessions go from node to node, and how a node is emptied. Bound from <c>FlowMM:Handover</c>.</summary>
public sealed class HandoverOptions
{
    /// <summary>Port that other nodes hand sessions over at (HTTP/2 without TLS, on the silo's address); 0 (default): a free one.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Handover:Port must be 0 to 65535.")]
    public int Port { get; set; }

    /// <summary>A secret that all nodes share and show each other; empty (default): none is asked for.</summary>
    public string Key { get; set; } = "";

    /// <summary>How long handing one session over may take before it stays where it is, 100 ms to 1 hour. Default 10 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "01:00:00", ErrorMessage = "FlowMM:Handover:Timeout must be 100 ms to 1 hour.")]
    public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long emptying the node may take, at SIGTERM and by command, 1 second to 1 hour. Default 30 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00", ErrorMessage = "FlowMM:Handover:DrainTimeout must be 1 second to 1 hour.")]
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Sessions that leave side by side, 1 to 256. Default 8.</summary>
    [Range(1, 256, ErrorMessage = "FlowMM:Handover:AtOnce must be 1 to 256.")]
    public int AtOnce { get; set; } = 8;

    /// <summary>Sessions that are taken side by side, 1 to 256; others wait. Each is in memory twice until it is verified. Default 16.</summary>
    [Range(1, 256, ErrorMessage = "FlowMM:Handover:TakeAtOnce must be 1 to 256.")]
    public int TakeAtOnce { get; set; } = 16;
}
