namespace FlowMM.Gateway.Requests;

/// <summary>Recognizes a picture's file by its first bytes, so that nothing else is sent on to be decoded.</summary>
internal static class PictureFormat
{
    /// <summary>The format's name, or null when it is none of PNG, JPEG, GIF, WebP, BMP.</summary>
    public static string? Of(ReadOnlySpan<byte> file) => file switch
    {
        [0x89, (byte)'P', (byte)'N', (byte)'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => "PNG",
        [0xFF, 0xD8, 0xFF, ..] => "JPEG",
        [(byte)'G', (byte)'I', (byte)'F', (byte)'8', (byte)'7' or (byte)'9', (byte)'a', ..] => "GIF",
        [(byte)'R', (byte)'I', (byte)'F', (byte)'F', _, _, _, _, (byte)'W', (byte)'E', (byte)'B', (byte)'P', ..] => "WebP",
        [(byte)'B', (byte)'M', ..] => "BMP",
        _ => null,
    };
}
