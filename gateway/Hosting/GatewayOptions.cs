using System.ComponentModel.DataAnnotations;

namespace FlowMM.Gateway.Hosting;

/// <summary>Where the gateway listens and what it lets through. Bound from <c>FlowMM:Gateway</c>.</summary>
public sealed class GatewayOptions
{
    /// <summary>The configuration section.</summary>
    public const string Section = "FlowMM:Gateway";

    /// <summary>IP address to listen on. Default 127.0.0.1.</summary>
    [Required(ErrorMessage = "FlowMM:Gateway:Address is missing.")]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Port of gRPC over HTTP/2 without TLS; 0: a free one. Default 5080.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Gateway:GrpcPort must be 0 to 65535.")]
    public int GrpcPort { get; set; } = 5080;

    /// <summary>Port of HTTP/1.1 (health); 0: a free one. Default 5081.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Gateway:HttpPort must be 0 to 65535.")]
    public int HttpPort { get; set; } = 5081;

    /// <summary>Most bytes of one picture's file. Default 20 MiB.</summary>
    [Range(1, 64 << 20, ErrorMessage = "FlowMM:Gateway:MaxImageBytes must be 1 to 64 MiB.")]
    public int MaxImageBytes { get; set; } = 20 << 20;

    /// <summary>Most pictures of one message. Default 64.</summary>
    [Range(0, 256, ErrorMessage = "FlowMM:Gateway:MaxImages must be 0 to 256.")]
    public int MaxImages { get; set; } = 64;

    /// <summary>Most UTF-8 bytes of one text. Default 1 MiB.</summary>
    [Range(1, 16 << 20, ErrorMessage = "FlowMM:Gateway:MaxTextBytes must be 1 to 16 MiB.")]
    public int MaxTextBytes { get; set; } = 1 << 20;

    /// <summary>Most bytes of one whole request: what a message between gateway and silo can carry. Default 96 MiB.</summary>
    [Range(1 << 20, 98 << 20, ErrorMessage = "FlowMM:Gateway:MaxRequestBytes must be 1 to 98 MiB.")]
    public int MaxRequestBytes { get; set; } = 96 << 20;

    /// <summary>Highest priority that a caller may ask for, 0 to 10. Default 10.</summary>
    [Range(0, 10, ErrorMessage = "FlowMM:Gateway:MaxPriority must be 0 to 10.")]
    public int MaxPriority { get; set; } = 10;

    /// <summary>Longest wait for a silo's answer to one call; a stream's events count one by one. Default 2 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00", ErrorMessage = "FlowMM:Gateway:ResponseTimeout must be 1 second to 1 day.")]
    public TimeSpan ResponseTimeout { get; set; } = TimeSpan.FromMinutes(2);

    /// <summary>Whether gRPC reflection is served. Default true.</summary>
    public bool Reflection { get; set; } = true;

    /// <summary>Keys that callers show. Empty: every caller is the tenant <c>default</c> and may administer. Default empty.</summary>
    public IList<ApiKeyOptions> Keys { get; set; } = [];
}
