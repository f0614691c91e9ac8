namespace FlowMM.EndToEndTests.Testing;

/// <summary>Asks a gateway whether it can answer.</summary>
internal static class Health
{
    private static readonly HttpClient Http = new();

    public static async Task<bool> IsReadyAsync(int port)
    {
        try
        {
            using HttpResponseMessage answer = await Http.GetAsync($"http://127.0.0.1:{port}/health/ready");
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }
}
