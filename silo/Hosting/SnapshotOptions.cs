using System.ComponentModel.DataAnnotations;
using FlowMM.KvCache;
using FlowMM.Silo.Snapshots;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Hosting;

/// <summary>Snapshots of sessions' caches. Bound from <c>FlowMM:Snapshots</c>.</summary>
public sealed class SnapshotOptions
{
    /// <summary>Whether a snapshot follows each turn. Default true.</summary>
    public bool Write { get; set; } = true;

    /// <summary>When a session that is not in memory is restored: <c>cheaper</c> (default: than replaying, as measured), <c>always</c>, <c>never</c>.</summary>
    public RestoreMode Restore { get; set; } = RestoreMode.Cheaper;

    /// <summary>Raw bytes of a chunk, 64 to 4 MiB. Default 2 MiB.</summary>
    [Range(SnapshotFormat.LeastChunkBytes, SnapshotFormat.MostChunkBytes, ErrorMessage = "FlowMM:Snapshots:ChunkBytes must be 64 to 4 MiB.")]
    public int ChunkBytes { get; set; } = SnapshotFormat.DefaultChunkBytes;

    /// <summary>Zstandard level, 1 to 19; 0 (default): not compressed. Float caches shrink by about a tenth.</summary>
    [Range(0, 19, ErrorMessage = "FlowMM:Snapshots:ZstdLevel must be 0 to 19.")]
    public int ZstdLevel { get; set; }

    /// <summary>Most bytes of a snapshot that is restored. Default 8 GiB.</summary>
    [Range(1 << 20, long.MaxValue, ErrorMessage = "FlowMM:Snapshots:MaxBytes must be at least 1 MiB.")]
    public long MaxBytes { get; set; } = 8L << 30;

    /// <summary>Snapshots that are written at once. Default 2.</summary>
    [Range(1, 64, ErrorMessage = "FlowMM:Snapshots:Writers must be 1 to 64.")]
    public int Writers { get; set; } = 2;

    /// <summary>Id of the key for new snapshots; empty (default): they are not encrypted.</summary>
    public string Key { get; set; } = "";

    /// <summary>Keys by id: 32 bytes each, in base64.</summary>
    public Dictionary<string, string> Keys { get; set; } = [];

    /// <summary>A file with more keys, one a line: id, blank, 32 bytes in base64. Empty (default): none.</summary>
    public string KeyFile { get; set; } = "";

    /// <summary>The form that snapshots are written in.</summary>
    /// <exception cref="OptionsValidationException">A key is malformed or missing; the text names the option and never a key.</exception>
    internal SnapshotSettings Form()
    {
        try
        {
            IEnumerable<(string Id, string Key)> listed = KeyFile.Length == 0 ? [] : File.ReadLines(KeyFile)
                .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)).Where(w => w.Length == 2).Select(w => (w[0], w[1]));
            Dictionary<string, byte[]> keys = Keys.Select(k => (k.Key, k.Value)).Concat(listed).ToDictionary(k => k.Item1, k => Convert.FromBase64String(k.Item2));
            return new SnapshotSettings
            {
                ChunkBytes = ChunkBytes,
                ZstdLevel = ZstdLevel == 0 ? null : ZstdLevel,
                Keys = new SnapshotKeys(keys, Key.Length == 0 ? null : Key),
            };
        }
        catch (Exception error) when (error is FormatException or ArgumentException or IOException or UnauthorizedAccessException)
        {
            string what = error is FormatException ? "a key is no base64 of 32 bytes" : error.Message;
            throw new OptionsValidationException("FlowMM:Snapshots", typeof(SnapshotOptions), [$"FlowMM:Snapshots:Keys: {what}"]);
        }
    }
}
