using System.ComponentModel.DataAnnotations;

namespace FlowMM.Silo.Hosting;

/// <summary>Where a silo listens and what it joins. Bound from <c>FlowMM:Silo</c>.</summary>
public sealed class SiloSettings
{
    /// <summary>Port of the silo endpoint; 0: a free one. Default 0.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Silo:Port must be 0 to 65535.")]
    public int Port { get; set; }

    /// <summary>Port of the endpoint that gateways connect to; 0: a free one. Default 0.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Silo:GatewayPort must be 0 to 65535.")]
    public int GatewayPort { get; set; }

    /// <summary>Address that other processes reach this one at. Default 127.0.0.1.</summary>
    [Required(ErrorMessage = "FlowMM:Silo:Address is missing.")]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Most bytes of one picture's file. Default 20 MiB.</summary>
    [Range(1, 1 << 30, ErrorMessage = "FlowMM:Silo:MaxImageBytes must be 1 to 1 GiB.")]
    public int MaxImageBytes { get; set; } = 20 << 20;

    /// <summary>Most pixels of one picture. Default 50 million.</summary>
    [Range(1, 1 << 30, ErrorMessage = "FlowMM:Silo:MaxImagePixels must be 1 to 2^30.")]
    public long MaxImagePixels { get; set; } = 50_000_000;
}

/// <summary>The served model. Bound from <c>FlowMM:Model</c>.</summary>
public sealed class ModelSettings
{
    /// <summary>Folder of the checkpoint, in the Hugging Face layout.</summary>
    [Required(ErrorMessage = "FlowMM:Model:Path is missing.")]
    public string Path { get; set; } = "";

    /// <summary>A chat template's file, plain Jinja or JSON that holds one, to use instead of the checkpoint's own. Null: that.</summary>
    public string? ChatTemplate { get; set; }

    /// <summary>Type of weights and cache: float32 or bfloat16. Default float32.</summary>
    [RegularExpression("float32|bfloat16", ErrorMessage = "FlowMM:Model:DType must be float32 or bfloat16.")]
    public string DType { get; set; } = "float32";
}

/// <summary>Defaults of the deployment for what requests and sessions leave open. Bound from <c>FlowMM:Defaults</c>.</summary>
public sealed class DefaultSettings
{
    /// <summary>How tokens are chosen.</summary>
    public FlowMM.Abstractions.SamplingOptions Sampling { get; set; } = new();

    /// <summary>How caches are merged; full when nothing is said.</summary>
    public FlowMM.Abstractions.MergingOptions Merging { get; set; } = new();
}
