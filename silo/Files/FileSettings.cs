using System.ComponentModel.DataAnnotations;

namespace FlowMM.Silo.Files;

/// <summary>Bounds of sessions' files, written and read. Bound from <c>FlowMM:Files</c>.</summary>
public sealed class FileSettings
{
    /// <summary>Most bytes of a whole file. Default 4 GiB.</summary>
    [Range(1 << 20, 1L << 40, ErrorMessage = "FlowMM:Files:MaxBytes must be 1 MiB to 1 TiB.")]
    public long MaxBytes { get; set; } = 4L << 30;

    /// <summary>Most bytes of one turn's record, and of the head. Default 16 MiB.</summary>
    [Range(1 << 10, 256 << 20, ErrorMessage = "FlowMM:Files:MaxRecordBytes must be 1 KiB to 256 MiB.")]
    public int MaxRecordBytes { get; set; } = 16 << 20;

    /// <summary>
    /// Most bytes of all records. An import holds them in memory until the whole file is verified, and writes them to the store at once, over the connection that
    /// turns use: theirs wait behind it. Default 32 MiB.
    /// </summary>
    [Range(1L << 10, 256L << 20, ErrorMessage = "FlowMM:Files:MaxTranscriptBytes must be 1 KiB to 256 MiB.")]
    public long MaxTranscriptBytes { get; set; } = 32 << 20;

    /// <summary>Files that a node imports at once, at most half of them, and at least one, of one tenant; more are refused as RESOURCE_EXHAUSTED. Default 4.</summary>
    [Range(1, 1024, ErrorMessage = "FlowMM:Files:MaxImports must be 1 to 1,024.")]
    public int MaxImports { get; set; } = 4;

    /// <summary>How long an import may wait for its next piece before it is given up, 1 second to 1 hour. Default 1 minute.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "01:00:00", ErrorMessage = "FlowMM:Files:Patience must be 1 second to 1 hour.")]
    public TimeSpan Patience { get; set; } = TimeSpan.FromMinutes(1);
}
