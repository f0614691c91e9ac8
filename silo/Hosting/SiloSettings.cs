using System.ComponentModel.DataAnnotations;
using System.Text.RegularExpressions;

namespace FlowMM.Silo.Hosting;

/// <summary>Where a silo listens and what it joins. Bound from <c>FlowMM:Silo</c>.</summary>
public sealed class SiloSettings
{
    /// <summary>The node's name, unique in the cluster; empty (default): one of its own.</summary>
    public string Name { get; set; } = "";

    /// <summary>Port of the silo endpoint; 0: a free one. Default 0.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Silo:Port must be 0 to 65535.")]
    public int Port { get; set; }

    /// <summary>Port of the endpoint that gateways connect to; 0: a free one. Default 0.</summary>
    [Range(0, 65535, ErrorMessage = "FlowMM:Silo:GatewayPort must be 0 to 65535.")]
    public int GatewayPort { get; set; }

    /// <summary>Address that other processes reach this one at. Default 127.0.0.1.</summary>
    [Required(ErrorMessage = "FlowMM:Silo:Address is missing.")]
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Time in which a silo must answer another's probe, 100 ms to 1 minute. Default 2 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:01:00", ErrorMessage = "FlowMM:Silo:ProbeTimeout must be 100 ms to 1 minute.")]
    public TimeSpan ProbeTimeout { get; set; } = TimeSpan.FromSeconds(2);

    /// <summary>Probes in a row that a silo may miss before it is taken for dead, 1 to 100. Default 3.</summary>
    [Range(1, 100, ErrorMessage = "FlowMM:Silo:MissedProbes must be 1 to 100.")]
    public int MissedProbes { get; set; } = 3;

    /// <summary>Most bytes of one picture's file. Default 20 MiB.</summary>
    [Range(1, 1 << 30, ErrorMessage = "FlowMM:Silo:MaxImageBytes must be 1 to 1 GiB.")]
    public int MaxImageBytes { get; set; } = 20 << 20;

    /// <summary>Most pixels of one picture. Default 50 million.</summary>
    [Range(1, 1 << 30, ErrorMessage = "FlowMM:Silo:MaxImagePixels must be 1 to 2^30.")]
    public long MaxImagePixels { get; set; } = 50_000_000;

    /// <summary>How long an idle session stays in device memory before it goes to host memory, 1 second to 1 year. Default 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "365.00:00:00", ErrorMessage = "FlowMM:Silo:IdleOnDevice must be 1 second to 365 days.")]
    public TimeSpan IdleOnDevice { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>How long it stays there before only the store has it, 1 second to 1 year. Default 1 hour.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "365.00:00:00", ErrorMessage = "FlowMM:Silo:IdleOnHost must be 1 second to 365 days.")]
    public TimeSpan IdleOnHost { get; set; } = TimeSpan.FromHours(1);
}

/// <summary>The served model. Bound from <c>FlowMM:Model</c>.</summary>
public sealed partial class ModelSettings : IValidatableObject
{
    /// <summary>Folder of the checkpoint, in the Hugging Face layout.</summary>
    [Required(ErrorMessage = "FlowMM:Model:Path is missing.")]
    public string Path { get; set; } = "";

    /// <summary>A chat template's file, plain Jinja or JSON that holds one, to use instead of the checkpoint's own. Null: that.</summary>
    public string? ChatTemplate { get; set; }

    /// <summary>Type of weights and cache: float32, bfloat16 or float16. Default float32.</summary>
    [RegularExpression("float32|bfloat16|float16", ErrorMessage = "FlowMM:Model:DType must be float32, bfloat16 or float16.")]
    public string DType { get; set; } = "float32";

    /// <summary>
    /// What the decoder's matrices are kept in on a CPU with float32: f32, bf16 (half the memory and time of a token; exact for a bf16
    /// checkpoint) or int8 (a quarter; a scale for each 64 weights). Default f32.
    /// </summary>
    [RegularExpression("f32|bf16|int8", ErrorMessage = "FlowMM:Model:Weights must be f32, bf16 or int8.")]
    public string Weights { get; set; } = "f32";

    /// <summary>Own kernels on a CPU with float32; false computes with the tensor library alone. Default true.</summary>
    public bool Kernels { get; set; } = true;

    /// <summary>
    /// Devices that share the model by its layers, in order: <c>cuda:N</c>, <c>cpu</c> or <c>cpu:N</c>, each once, no more than layers. Each gets
    /// consecutive layers of about as many weights, and their part of <c>FlowMM:Engine:CacheBytes</c>. Empty (default): <c>FlowMM:Engine:Device</c>.
    /// </summary>
    public IList<string> Devices { get; } = [];

    /// <inheritdoc/>
    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext) => Devices
        .Select((device, i) => (device, i))
        .Where(d => !Device().IsMatch(d.device) || Devices.IndexOf(d.device) != d.i)
        .Select(d => new ValidationResult($"FlowMM:Model:Devices:{d.i} must be cpu, cpu:N or cuda:N, and each device once."));

    [GeneratedRegex(@"^(cpu|cuda)(:\d{1,4})?$")]
    private static partial Regex Device();
}

/// <summary>Defaults of the deployment for what requests and sessions leave open. Bound from <c>FlowMM:Defaults</c>.</summary>
public sealed class DefaultSettings
{
    /// <summary>How tokens are chosen.</summary>
    public FlowMM.Abstractions.SamplingOptions Sampling { get; set; } = new();

    /// <summary>How caches are merged; full when nothing is said.</summary>
    public FlowMM.Abstractions.MergingOptions Merging { get; set; } = new();
}
