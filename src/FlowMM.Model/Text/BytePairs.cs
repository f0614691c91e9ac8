using System.Text;
using System.Text.Json;

namespace FlowMM.Model.Text;

/// <summary>
/// Byte-pair encoding: a piece begins as one symbol a character, and the pair of the lowest rank is merged until none is left. Characters
/// outside the vocabulary become their bytes where there is byte fallback, else the unknown token, else nothing.
/// </summary>
internal sealed class BytePairs
{
    private readonly Dictionary<string, int> _vocabulary;
    private readonly Dictionary<(int Left, int Right), (int Rank, int Id)> _merges;
    private readonly int[]? _bytes;
    private readonly int? _unknown;
    private readonly bool _fuseUnknown;
    private readonly bool _ignoreMerges;

    private BytePairs(string path, JsonElement model)
    {
        Dictionary<string, int> vocabulary = _vocabulary = Entries(path, model);
        _merges = Merges(path, model.GetProperty("merges"), vocabulary);
        _bytes = Flag(model, "byte_fallback") ? [.. Enumerable.Range(0, 256).Select(b => vocabulary.GetValueOrDefault(ByteToken(b), -1))] : null;
        _unknown = model.TryGetProperty("unk_token", out JsonElement unknown) && unknown.GetString() is string token && vocabulary.TryGetValue(token, out int id) ? id : null;
        (_fuseUnknown, _ignoreMerges) = (Flag(model, "fuse_unk"), Flag(model, "ignore_merges"));
    }

    /// <summary>Spellings and ids.</summary>
    public IReadOnlyDictionary<string, int> Vocabulary => _vocabulary;

    /// <exception cref="CheckpointException">The model is of another kind, or a merge's parts or result are not in the vocabulary.</exception>
    public static BytePairs Read(string path, JsonElement model)
    {
        string kind = model.TryGetProperty("type", out JsonElement type) ? type.GetString() ?? "" : "BPE";
        if (kind != "BPE")
        {
            throw new CheckpointException(path, $"a tokenizer of type {kind} is not supported; BPE is.");
        }

        foreach (string key in new[] { "continuing_subword_prefix", "end_of_word_suffix" })
        {
            if (model.TryGetProperty(key, out JsonElement affix) && affix.ValueKind == JsonValueKind.String && affix.GetString() is { Length: > 0 })
            {
                throw new CheckpointException(path, $"a BPE with {key} is not supported.");
            }
        }

        return new BytePairs(path, model);
    }

    /// <summary>The spelling of a byte in a vocabulary with byte fallback.</summary>
    public static string ByteToken(int value) => $"<0x{value:X2}>";

    /// <summary>The ids of a piece.</summary>
    public int[] Encode(string piece)
    {
        if (_ignoreMerges && _vocabulary.TryGetValue(piece, out int whole))
        {
            return [whole];
        }

        int[] ids = [.. Symbols(piece)];
        return ids.Length < 2 ? ids : Merge(ids);
    }

    private List<int> Symbols(string piece)
    {
        List<int> ids = new(piece.Length);
        int pending = 0;
        void AddUnknown()
        {
            ids.AddRange(Enumerable.Repeat(_unknown ?? 0, _fuseUnknown ? Math.Min(pending, 1) : pending));
            pending = 0;
        }

        var alternate = _vocabulary.GetAlternateLookup<ReadOnlySpan<char>>();
        for (int at = 0, length; at < piece.Length; at += length)
        {
            length = char.IsHighSurrogate(piece[at]) && at + 1 < piece.Length ? 2 : 1;
            ReadOnlySpan<char> character = piece.AsSpan(at, length);
            if (alternate.TryGetValue(character, out int id))
            {
                AddUnknown();
                ids.Add(id);
            }
            else if (!AddBytes(character, ids))
            {
                pending += _unknown is null ? 0 : 1;
            }
        }

        AddUnknown();
        return ids;
    }

    /// <summary>Adds a character's bytes where every one of them has a token.</summary>
    private bool AddBytes(ReadOnlySpan<char> character, List<int> ids)
    {
        Span<byte> utf8 = stackalloc byte[4];
        if (_bytes is null || !Encoding.UTF8.TryGetBytes(character, utf8, out int count))
        {
            return false;
        }

        foreach (byte b in utf8[..count])
        {
            if (_bytes[b] < 0)
            {
                return false;
            }
        }

        foreach (byte b in utf8[..count])
        {
            ids.Add(_bytes[b]);
        }

        return true;
    }

    /// <summary>Merges in order of rank, of equal ranks the leftmost first; n log n in the piece's length.</summary>
    private int[] Merge(int[] ids)
    {
        int[] next = [.. Enumerable.Range(1, ids.Length)], before = [.. Enumerable.Range(-1, ids.Length)];
        PriorityQueue<(int At, int Id), (int Rank, int At)> queue = new();
        void Offer(int at)
        {
            if (at >= 0 && next[at] < ids.Length && _merges.TryGetValue((ids[at], ids[next[at]]), out (int Rank, int Id) merge))
            {
                queue.Enqueue((at, merge.Id), (merge.Rank, at));
            }
        }

        for (int i = 0; i < ids.Length; i++)
        {
            Offer(i);
        }

        while (queue.TryDequeue(out (int At, int Id) merge, out _))
        {
            int right = ids[merge.At] < 0 ? ids.Length : next[merge.At];

            // One of the two may have been merged with another since.
            if (right == ids.Length || !_merges.TryGetValue((ids[merge.At], ids[right]), out (int Rank, int Id) now) || now.Id != merge.Id)
            {
                continue;
            }

            (ids[merge.At], ids[right], next[merge.At]) = (merge.Id, -1, next[right]);
            if (next[right] < ids.Length)
            {
                before[next[right]] = merge.At;
            }

            Offer(before[merge.At]);
            Offer(merge.At);
        }

        return [.. ids.Where(i => i >= 0)];
    }

    private static Dictionary<string, int> Entries(string path, JsonElement model)
    {
        Dictionary<string, int> entries = new(StringComparer.Ordinal);
        foreach (JsonProperty entry in model.GetProperty("vocab").EnumerateObject())
        {
            entries[entry.Name] = TokenizerFile.Id(path, entry.Value);
        }

        return entries;
    }

    private static Dictionary<(int, int), (int, int)> Merges(string path, JsonElement list, Dictionary<string, int> vocabulary)
    {
        Dictionary<(int, int), (int, int)> merges = new(list.GetArrayLength());
        foreach ((int rank, JsonElement merge) in list.EnumerateArray().Index())
        {
            bool pair = merge.ValueKind == JsonValueKind.Array;
            string text = pair ? "" : merge.GetString()!;
            int space = text.IndexOf(' ', Math.Min(1, text.Length));
            (string left, string right) = pair ? (merge[0].GetString()!, merge[1].GetString()!) : space < 0 ? (text, "") : (text[..space], text[(space + 1)..]);
            if (!vocabulary.TryGetValue(left, out int a) || !vocabulary.TryGetValue(right, out int b) || !vocabulary.TryGetValue(left + right, out int id))
            {
                throw new CheckpointException(path, $"merge {rank} ('{left}' and '{right}') has a part or a result that is not in the vocabulary.");
            }

            merges.TryAdd((a, b), (rank, id));
        }

        return merges;
    }

    private static bool Flag(JsonElement model, string key) => model.TryGetProperty(key, out JsonElement flag) && flag.ValueKind == JsonValueKind.True;
}
